"""What a Kafka record's value and key say, in the formats that other programs write."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal, Protocol

from schemas.avro_json import AvroReader
from schemas.codec import HEADER_BYTES, MAGIC, UndecodableError, schema_id
from schemas.compatibility import InvalidSchemaError
from streams.errors import Poison
from streams.strict_json import JsonRefused, dumps, loads

DEPTH_MAX = 64
KEY_CHARS_MAX = 1024
_KEY_SHOWN_CHARS = 200
_SCHEMAS_MAX = 1000
_CONTROLS = bytes(byte for byte in range(0x20) if byte not in b"\t\n\r")  # no text holds these

Format = Literal["auto", "avro", "json", "text"]


class Schemas(Protocol):
    """The topic's own registry."""

    def schema(self, schema_id: int) -> str:
        """Return a schema's text; blocks. Raises LookupError for an unknown id, OSError when it is away."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A value as JSON.

    Attributes:
        json: Any JSON value.
        schema: Full name of its Avro schema; empty when it has none.

    """

    json: Any
    schema: str = ""


class Values:
    """Reads values and keys; remembers schemas, which never change under their id.

    Args:
        expected: The topic's format; `auto` decides for each record.
        schemas: The registry; None where the topic has none.

    """

    def __init__(self, expected: Format, schemas: Schemas | None) -> None:
        self._schemas = schemas
        self._readers: dict[int, AvroReader | InvalidSchemaError] = {}
        read: dict[Format, Callable[[bytes], Value]] = {
            "auto": self._any,
            "avro": self._avro,
            "json": _json,
            "text": _text,
        }
        self._read = read[expected]

    def read(self, raw: bytes) -> Value:
        """Return what bytes say; raises Poison, and OSError while the registry does not answer."""
        return self._read(raw)

    def key(self, raw: bytes | None) -> str | None:
        """Return a key as one line of text; raises OSError while the registry does not answer.

        Avro and texts as they are (a record as JSON); other bytes in hexadecimal after `0x`. A long key is
        cut and told apart by a hash.
        """
        if not raw:
            return None
        text = self._key_text(raw)
        if len(text) <= KEY_CHARS_MAX:
            return text
        return f"{text[:_KEY_SHOWN_CHARS]}…{blake2b(raw, digest_size=16).hexdigest()}"

    def _key_text(self, raw: bytes) -> str:
        if raw[0] == MAGIC and len(raw) > HEADER_BYTES:
            try:
                found = self._avro(raw).json
            except Poison:
                pass  # eight bytes of a small number begin so, too
            else:
                text = found if isinstance(found, str) else dumps(found).decode()
                if text.isprintable() and text:
                    return text
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            text = ""
        return text if text.isprintable() and text else f"0x{raw.hex()}"

    def _any(self, raw: bytes) -> Value:
        if raw[:1] == bytes((MAGIC,)):
            try:
                return self._avro(raw)
            except Poison:
                if raw[HEADER_BYTES : HEADER_BYTES + 1] not in (b"{", b"["):
                    raise
            return _json(raw)
        try:
            return _json(raw)
        except Poison:
            # A text may look like anything but the beginning of an object: that is JSON which broke.
            if raw.lstrip()[:1] == b"{" or _binary(raw):
                raise
        return _text(raw)

    def _avro(self, raw: bytes) -> Value:
        try:
            reader = self._reader(schema_id(raw))
            return Value(json=reader.value(raw, HEADER_BYTES), schema=reader.name)
        except UndecodableError as error:
            raise Poison(str(error), reason=error.reason) from None

    def _reader(self, number: int) -> AvroReader:
        found = self._readers.get(number)
        if found is None:
            found = self._asked(number)
            while len(self._readers) >= _SCHEMAS_MAX:
                del self._readers[next(iter(self._readers))]
            self._readers[number] = found
        if isinstance(found, InvalidSchemaError):
            raise UndecodableError(
                f"schema id {number} is none that we read Avro with: {found}", reason="unknown_schema"
            )
        return found

    def _asked(self, number: int) -> AvroReader | InvalidSchemaError:
        if self._schemas is None:
            raise UndecodableError(
                f"it names schema id {number}, but no registry is known: set registry_url of the source",
                reason="unknown_schema",
            )
        try:
            return AvroReader(self._schemas.schema(number))
        except LookupError:
            raise UndecodableError(
                f"schema id {number} is unknown to the topic's registry", reason="unknown_schema"
            ) from None
        except InvalidSchemaError as error:
            return error


def _json(raw: bytes) -> Value:
    # Serializers for JSON Schema put an id before the text, which itself never begins with 0.
    body = raw[HEADER_BYTES:] if raw[:1] == bytes((MAGIC,)) else raw
    try:
        return Value(json=loads(body, depth_max=DEPTH_MAX))
    except JsonRefused as refused:
        raise Poison(f"the value is not JSON as we take it: {refused}", reason="malformed_json") from None


def _text(raw: bytes) -> Value:
    try:
        return Value(json=raw.decode())
    except UnicodeDecodeError as error:
        raise Poison(
            f"the value is no text: not valid UTF-8 at byte {error.start}", reason="not_text"
        ) from None


def _binary(raw: bytes) -> bool:
    return len(raw.translate(None, _CONTROLS)) != len(raw)
