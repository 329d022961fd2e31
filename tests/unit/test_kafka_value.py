"""Values and keys of Kafka records in every format."""

import json
import struct
from collections.abc import Mapping

import pytest

from streams.errors import Poison, Transport
from streams.sources.kafka_value import KEY_CHARS_MAX, Format, Values
from tests.unit.test_avro_json import avro

pytestmark = pytest.mark.unit

ORDER = {
    "type": "record",
    "name": "Order",
    "namespace": "com.acme",
    "fields": [{"name": "id", "type": "long"}, {"name": "note", "type": ["null", "string"]}],
}


class Known:
    """A registry of a few schemas that counts what it is asked."""

    def __init__(self, schemas: Mapping[int, str], *, away: bool = False) -> None:
        self._schemas = schemas
        self.away = away
        self.asked: list[int] = []

    def schema(self, schema_id: int) -> str:
        """Answer."""
        self.asked.append(schema_id)
        if self.away:
            raise Transport("the registry is away")
        return self._schemas[schema_id]


def framed(number: int, body: bytes) -> bytes:
    """Confluent's wire format."""
    return struct.pack(">bI", 0, number) + body


REGISTRY = {
    7: json.dumps(ORDER),
    8: '"string"',
    9: '{"type":"object","properties":{}}',
    10: 'syntax = "proto3"; message A {}',
    11: json.dumps({"type": "record", "name": "T", "fields": [{"name": "t", "type": ["null", "T"]}]}),
}
PAID = framed(7, avro(ORDER, {"id": 2**60, "note": "ü"}))


def values(expected: Format = "auto") -> Values:
    """A reader over the registry above."""
    return Values(expected, Known(REGISTRY))


@pytest.mark.parametrize("expected", ["auto", "avro"])
def test_avro_is_read_with_the_schema_that_it_names(expected: Format) -> None:
    """The value is the record, its schema's full name stands beside it."""
    found = values(expected).read(PAID)
    assert found.json == {"id": 2**60, "note": "ü"}
    assert found.schema == "com.acme.Order"


def test_a_schema_is_asked_for_once() -> None:
    """What an id means never changes."""
    registry = Known(REGISTRY)
    reader = Values("avro", registry)
    for _ in range(3):
        reader.read(PAID)
        with pytest.raises(Poison):
            reader.read(framed(11, b"\x00"))
    assert registry.asked == [7, 11]


def test_a_registry_that_is_away_is_no_fault_of_the_record() -> None:
    """Transport comes through, so that the record waits instead of becoming a dead letter."""
    registry = Known(REGISTRY, away=True)
    reader = Values("auto", registry)
    with pytest.raises(Transport):
        reader.read(PAID)
    registry.away = False
    assert reader.read(PAID).schema == "com.acme.Order"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}),
        (b"[1]", [1]),
        (b"12345678901234567890123", 12345678901234567890123),
        (b'"text"', "text"),
        (framed(9, b'{"a": 1}'), {"a": 1}),
    ],
)
def test_json_is_read_exactly_with_a_schema_id_before_it_or_without(raw: bytes, expected: object) -> None:
    """Serializers for JSON Schema put a header before the text; numbers keep all digits."""
    assert values("json").read(raw).json == expected
    assert values("auto").read(raw).json == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", ""),
        (b"plain words", "plain words"),
        (b"[2026-01-01] started", "[2026-01-01] started"),
        ("tab\tand\r\nlines ☃".encode(), "tab\tand\r\nlines ☃"),
        (b"NaN", "NaN"),
        (b"007", "007"),
    ],
)
def test_what_is_nothing_else_is_text(raw: bytes, expected: str) -> None:
    """`auto` falls back to text."""
    assert values("auto").read(raw).json == expected
    assert values("text").read(raw).json == expected


def test_text_takes_json_as_it_stands() -> None:
    """With format text nothing is parsed."""
    assert values("text").read(b'{"a": 1').json == '{"a": 1'


@pytest.mark.parametrize(
    ("expected", "raw", "reason"),
    [
        ("avro", b"", "truncated"),
        ("avro", b"\x00\x00\x00", "truncated"),
        ("avro", b'{"a": 1}', "wrong_magic"),
        ("avro", framed(99, b"abc"), "unknown_schema"),
        ("avro", framed(9, b'{"a": 1}'), "unknown_schema"),
        ("avro", framed(10, b"abc"), "unknown_schema"),
        ("avro", framed(11, b"\x00"), "unknown_schema"),
        ("avro", framed(7, b""), "undecodable"),
        ("avro", PAID + b"\x00", "undecodable"),
        ("json", b"", "malformed_json"),
        ("json", b"{", "malformed_json"),
        ("json", b'{"a":1,"a":2}', "malformed_json"),
        ("json", b"[" * 65 + b"]" * 65, "malformed_json"),
        ("json", b"\xff", "malformed_json"),
        ("text", b"ab\xff", "not_text"),
        ("auto", b"\xff\xfe", "not_text"),
        ("auto", b' {"a": 1', "malformed_json"),
        ("auto", b"a\x00b", "malformed_json"),
        ("auto", framed(99, b"abc"), "unknown_schema"),
        ("auto", framed(10, b"abc"), "unknown_schema"),
        ("auto", framed(9, b'{"a": '), "malformed_json"),
        ("auto", framed(7, b"\xff"), "undecodable"),
    ],
)
def test_what_cannot_be_read_says_why(expected: Format, raw: bytes, reason: str) -> None:
    """Every refusal carries a reason of the enum and a sentence."""
    with pytest.raises(Poison) as caught:
        values(expected).read(raw)
    assert caught.value.reason == reason


def test_without_a_registry_avro_says_what_to_set() -> None:
    """A topic of another cluster has no registry of its own accord."""
    with pytest.raises(Poison, match="set registry_url"):
        Values("auto", None).read(PAID)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (None, None),
        (b"", None),
        (b"customer-7", "customer-7"),
        ("schlüssel".encode(), "schlüssel"),
        (framed(8, avro("string", "k1")), "k1"),
        (framed(7, avro(ORDER, {"id": 1, "note": None})), '{"id":1,"note":null}'),
        (struct.pack(">q", 65), "0x0000000000000041"),
        (framed(99, b"abc"), "0x0000000063616263"),
        (b"\xff\x00", "0xff00"),
        (b"two\nlines", "0x74776f0a6c696e6573"),
    ],
)
def test_a_key_becomes_one_line_of_text(raw: bytes | None, expected: str | None) -> None:
    """Avro and texts as they are, other bytes in hexadecimal."""
    assert values().key(raw) == expected


def test_long_keys_are_cut_and_told_apart() -> None:
    """A key of any length fits a resource id; two long ones with one beginning stay two."""
    one, other = (values().key(b"k" * 100_000 + end) for end in (b"1", b"2"))
    assert one is not None
    assert other is not None
    assert one != other
    assert len(one) < KEY_CHARS_MAX
