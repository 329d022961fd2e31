"""Records to bytes and back: Avro in Confluent's framing (0x00, schema id in 4 bytes, body)."""

import struct
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from io import BytesIO
from typing import Any, TypeVar

import fastavro

from schemas import avro_schema, bounds, compatibility, record
from schemas.registry import Registry

R = TypeVar("R")
MAGIC = 0
HEADER_BYTES = 5
ID_AT = 6  # header, then one length byte: 36 as zigzag is 0x48
RECORD_BYTES_MAX = 8 << 20  # as max.message.bytes of every topic
_ID_LENGTH_BYTE = 0x48
_VARINT_BYTES_MAX = 10
_HEADER = struct.Struct(">bI")
CLASSES: Mapping[str, type[Any]] = {
    "event": record.EventRecord,
    "candidate": record.Candidate,
    "state": record.State,
    "run_request": record.RunRequest,
    "journal": record.Journal,
    "verdict": record.Verdict,
    "run_log": record.RunLog,
    "task_log": record.TaskLog,
    "dead_letter": record.DeadLetter,
    "trigger": record.Trigger,
}
_NAMES = {cls: name for name, cls in CLASSES.items()}
_FIELDS = {cls: tuple(f.name for f in fields(cls)) for cls in _NAMES}


class UndecodableError(ValueError):
    """These bytes are not a record of ours; `reason` is the dead letter's."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@cache
def _reader(name: str) -> Any:
    return avro_schema.parse_plain(avro_schema.text(name))


_TUPLE_FIELDS: Mapping[str, tuple[str, ...]] = {
    name: tuple(f.name for f in fields(cls) if str(f.type).startswith("tuple"))
    for name, cls in CLASSES.items()
}


def schema_id(framed: bytes) -> int:
    """Return the schema id of a framed record."""
    if len(framed) < HEADER_BYTES:
        raise UndecodableError(
            f"{len(framed)} bytes are shorter than the 5-byte Confluent header", reason="truncated"
        )
    magic, number = _HEADER.unpack_from(framed)
    if magic != MAGIC:
        raise UndecodableError(
            f"the first byte is {magic}, not 0: not in Confluent's wire format", reason="wrong_magic"
        )
    return int(number)


def peek(framed: bytes) -> tuple[str, str]:
    """Return (id, event name) without decoding the rest; both stand first in every schema."""
    try:
        if framed[0] != MAGIC or framed[HEADER_BYTES] != _ID_LENGTH_BYTE:
            raise UndecodableError("no 36-character id at the record's start", reason="wrong_magic")
        at = ID_AT + 36
        length = framed[at]
        at += 1
        if length & 0x81:  # more than one byte (a name of 64 bytes or more), or negative
            length, at = _long_length(framed, at - 1)
        name = framed[at : at + (length >> 1)]
        if len(name) != length >> 1:
            raise UndecodableError("the record ends inside the event name", reason="truncated")
        return framed[ID_AT : ID_AT + 36].decode("ascii"), name.decode()
    except IndexError as error:
        raise UndecodableError("the record ends before its event name", reason="truncated") from error
    except UnicodeDecodeError as error:
        raise UndecodableError(f"id or event name is no text: {error}", reason="undecodable") from error


def _long_length(framed: bytes, at: int) -> tuple[int, int]:
    """Return (zigzag length, place after it) of a variable-length number at `at`."""
    length = 0
    for count in range(_VARINT_BYTES_MAX):
        byte = framed[at + count]
        length |= (byte & 0x7F) << 7 * count
        if not byte & 0x80:
            if length & 1:
                raise UndecodableError("the event name has a negative length", reason="undecodable")
            return length, at + count + 1
    raise UndecodableError("the event name's length never ends", reason="undecodable")


def encode_body(item: object) -> bytes:
    """Return the Avro body of a record, without framing."""
    name = _NAMES[type(item)]
    out = BytesIO()
    fastavro.schemaless_writer(out, _reader(name), {f: getattr(item, f) for f in _FIELDS[type(item)]})
    return out.getvalue()


class Codec:
    """Encodes with our schema versions, decodes any version the registry knows.

    Writer ids are given at construction (`ids`: schema name → id); unknown ids seen while reading are
    asked from the registry, blocking once per new id.
    """

    def __init__(self, registry: Registry, ids: Mapping[str, int]) -> None:
        self._registry = registry
        self._headers = {name: _HEADER.pack(MAGIC, number) for name, number in ids.items()}
        self._writers: dict[int, Any] = {}

    def encode(self, item: object) -> bytes:
        """Return the framed bytes of a record of `schemas.record`."""
        return self._headers[_NAMES[type(item)]] + encode_body(item)

    def header(self, name: str) -> bytes:
        """Return the 5 framing bytes of our version of schema `name`."""
        return self._headers[name]

    def decode(self, framed: bytes, cls: type[R]) -> R:
        """Return the record; raises UndecodableError for bytes that are none.

        Time and memory are bounded: no more than RECORD_BYTES_MAX are read, and only with schemas whose data
        cannot unfold (`schemas.bounds`).
        """
        if len(framed) > RECORD_BYTES_MAX:
            raise UndecodableError(
                f"{len(framed)} bytes are more than the {RECORD_BYTES_MAX} of any record of ours",
                reason="too_large",
            )
        writer = self._writer(schema_id(framed))
        body = BytesIO(framed)
        body.seek(HEADER_BYTES)
        try:
            values: Any = fastavro.schemaless_reader(body, writer, _reader(_NAMES[cls]))
        except Exception as error:
            raise UndecodableError(
                f"Avro body unreadable: {type(error).__name__}: {error}", reason="undecodable"
            ) from error
        if body.tell() != len(framed):
            raise UndecodableError(
                f"{len(framed) - body.tell()} bytes follow the record's end", reason="undecodable"
            )
        for name in _TUPLE_FIELDS[_NAMES[cls]]:
            values[name] = tuple(values[name])
        return cls(**values)

    def knows(self, framed: bytes) -> bool:
        """Return whether decoding `framed` asks nobody, so that an event loop may do it."""
        return len(framed) < HEADER_BYTES or _HEADER.unpack_from(framed)[1] in self._writers

    def learn(self, framed: bytes) -> None:
        """Ask the registry for the schema of `framed`; blocks. Raises UndecodableError or OSError."""
        self._writer(schema_id(framed))

    def _writer(self, number: int) -> Any:
        if number not in self._writers:
            try:
                text = self._registry.schema(number)
                bounds.check(compatibility.parse(text))
                self._writers[number] = avro_schema.parse_plain(text)
            except LookupError as error:
                raise UndecodableError(
                    f"schema id {number} is unknown to the registry", reason="unknown_schema"
                ) from error
            except compatibility.InvalidSchemaError as error:
                raise UndecodableError(
                    f"schema id {number} is not one to read with: {error}", reason="unknown_schema"
                ) from error
        return self._writers[number]


class FixedRegistry:
    """A registry of our own schema files with ids 1..n, for tests and tools without a broker."""

    def __init__(self) -> None:
        self._ids = {avro_schema.text(name): number for number, name in enumerate(avro_schema.names(), 1)}

    def register(self, subject: str, schema: str) -> int:
        """Return the id of one of our own schemas."""
        return self.lookup(subject, schema)

    def lookup(self, subject: str, schema: str) -> int:
        """Return the id of one of our own schemas."""
        if schema not in self._ids:
            raise LookupError(f"{subject}: not one of ours")
        return self._ids[schema]

    def schema(self, schema_id: int) -> str:
        """Return the schema text of an id."""
        for schema, number in self._ids.items():
            if number == schema_id:
                return schema
        raise LookupError(f"schema id {schema_id}")


def fixed_codec() -> Codec:
    """Return a codec over `FixedRegistry`."""
    registry = FixedRegistry()
    return Codec(
        registry, {name: registry.lookup(name, avro_schema.text(name)) for name in avro_schema.names()}
    )
