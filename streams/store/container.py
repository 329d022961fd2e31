"""Kafka's Avro bytes become an Avro file without decoding (DESIGN 6).

An Avro record is its fields one after the other, so a row with topic, partition and offset in front is those
three encoded, then the message as it is. Each row is a block of its own: bytes too few or too many in one
cannot shift its neighbours.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from schemas.codec import HEADER_BYTES
from streams.errors import Poison

_SYNC = bytes(range(16))
_ONE_ROW = b"\x02"
_PLACE_FIELDS = (
    {"name": "topic", "type": "string"},
    {"name": "partition", "type": "int"},
    {"name": "offset", "type": "long"},
)
# Column names where they differ from the record's; names are not in the bytes.
_RENAMED: Mapping[str, Mapping[str, str]] = {"Event": {"resource": "resource_text"}}


def varint(number: int) -> bytes:
    """Return a non-negative number as Avro writes int and long."""
    number <<= 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _string(data: bytes) -> bytes:
    return varint(len(data)) + data


class Container:
    """Makes Avro files of one topic's records of one writer schema.

    Attributes:
        columns: the names of the fields in their order, as columns are called.

    """

    def __init__(self, topic: str, schema_text: str, record_name: str) -> None:
        schema: Any = json.loads(schema_text)
        if not isinstance(schema, dict) or schema.get("name", "").rpartition(".")[2] != record_name:
            raise Poison(
                f"{topic} holds a record that is no {record_name}; look at its producer and schema.",
                reason="wrong_schema",
            )
        renamed = _RENAMED.get(record_name, {})
        fields = [
            *_PLACE_FIELDS,
            *({**field, "name": renamed.get(field["name"], field["name"])} for field in schema["fields"]),
        ]
        self.columns: tuple[str, ...] = tuple(field["name"] for field in fields)
        text = json.dumps({"type": "record", "name": "Row", "fields": fields}).encode()
        meta = _string(b"avro.schema") + _string(text) + _string(b"avro.codec") + _string(b"null")
        self._header = b"Obj\x01" + varint(2) + meta + varint(0) + _SYNC
        self._topic = _string(topic.encode())
        self._places: dict[int, bytes] = {}

    def file(self, rows: Iterable[tuple[int, int, bytes]]) -> bytes:
        """Return an Avro file of (partition, offset, framed message) rows."""
        parts = [self._header]
        add = parts.append
        for partition, offset, framed in rows:
            place = self._places.get(partition)
            if place is None:
                place = self._places[partition] = self._topic + varint(partition)
            at = varint(offset)
            add(_ONE_ROW)
            add(varint(len(place) + len(at) + len(framed) - HEADER_BYTES))
            add(place)
            add(at)
            add(framed[HEADER_BYTES:])
            add(_SYNC)
        return b"".join(parts)
