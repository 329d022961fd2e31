"""Avro data as JSON values, each rule of `schemas.avro_json`."""

import io
import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import fastavro
import pytest

from schemas.avro_json import AvroReader
from schemas.codec import UndecodableError
from schemas.compatibility import InvalidSchemaError

pytestmark = pytest.mark.unit

AT = datetime(2026, 1, 31, 12, 0, 0, 123456, UTC)
MICROS = 1_769_860_800_123_456
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}


def logical(kind: str, name: str, **more: Any) -> dict[str, Any]:
    """A logical type."""
    return {"type": kind, "logicalType": name, **more}


def fixed(size: int, **more: Any) -> dict[str, Any]:
    """A fixed type."""
    return {"type": "fixed", "name": "F", "size": size, **more}


def avro(schema: Any, value: Any) -> bytes:
    """The bytes that fastavro writes."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def read(schema: Any, value: Any) -> Any:
    """What our reader makes of them; always JSON."""
    found = AvroReader(json.dumps(schema)).value(avro(schema, value))
    json.dumps(found, allow_nan=False)
    return found


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ("null", None, None),
        ("boolean", True, True),
        ("string", "é\u2603", "é\u2603"),
        ("int", -(2**31), -(2**31)),
        ("long", 2**63 - 1, 9223372036854775807),
        ("float", 0.1, 0.1),
        ("float", 16777216.0, 16777216.0),
        ("float", 3.4028234663852886e38, 3.4028235e38),
        ("double", 0.1, 0.1),
        ("double", float("nan"), "NaN"),
        ("double", float("-inf"), "-Infinity"),
        ("float", float("inf"), "Infinity"),
        ("bytes", b"\x00\xff", "AP8="),
        (fixed(3), b"abc", "YWJj"),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B", "B"),
        ({"type": "array", "items": "bytes"}, [b"a"], ["YQ=="]),
        ({"type": "map", "values": DECIMAL}, {"k": Decimal("1.5")}, {"k": "1.50"}),
        (DECIMAL, Decimal("-0.05"), "-0.05"),
        (DECIMAL, Decimal("1234567.89"), "1234567.89"),
        (logical("bytes", "decimal", precision=5), Decimal(-12345), "-12345"),
        (fixed(4, logicalType="decimal", precision=6, scale=3), Decimal("1.25"), "1.250"),
        (logical("int", "date"), date(2026, 1, 31), "2026-01-31"),
        (logical("int", "time-millis"), time(1, 2, 3, 4000), "01:02:03.004"),
        (logical("long", "time-micros"), time(23, 59, 59, 7), "23:59:59.000007"),
        (logical("long", "timestamp-millis"), AT, "2026-01-31T12:00:00.123Z"),
        (logical("long", "timestamp-micros"), AT, "2026-01-31T12:00:00.123456Z"),
        (logical("long", "timestamp-nanos"), MICROS * 1000 + 789, "2026-01-31T12:00:00.123456789Z"),
        (logical("long", "timestamp-millis"), datetime(33, 1, 2, tzinfo=UTC), "0033-01-02T00:00:00.000Z"),
        (logical("long", "timestamp-micros"), -1, "1969-12-31T23:59:59.999999Z"),
        (logical("long", "local-timestamp-millis"), MICROS // 1000, "2026-01-31T12:00:00.123"),
        (logical("long", "local-timestamp-micros"), MICROS, "2026-01-31T12:00:00.123456"),
        (logical("string", "uuid"), UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (fixed(16, logicalType="uuid"), b"\x00" * 15 + b"\x05", "00000000-0000-0000-0000-000000000005"),
        (
            fixed(12, logicalType="duration"),
            bytes((1, 0, 0, 0, 2, 0, 0, 0, 0xBC, 0x0B, 0, 0)),
            "P1M2DT3.004S",
        ),
        (["null", DECIMAL], Decimal("3.1"), "3.10"),
        (["null", DECIMAL], None, None),
        (["int", logical("long", "timestamp-millis")], AT, "2026-01-31T12:00:00.123Z"),
        (["int", "string"], 7, 7),
    ],
)
def test_each_type_becomes_its_json_value(schema: Any, value: Any, expected: object) -> None:
    """Every Avro type and logical type follows its rule, whatever writes it."""
    found = read(schema, value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (logical("int", "date"), 10_000_000),
        (logical("long", "timestamp-millis"), 2**62),
        (logical("long", "timestamp-nanos"), -(2**63)),
        (logical("long", "time-micros"), 86_400_000_000),
        (logical("int", "time-millis"), -1),
    ],
)
def test_a_time_beyond_the_calendar_stays_its_number(schema: Any, value: int) -> None:
    """A sentinel such as 'infinity' loses no record: the number itself is the value."""
    if schema["logicalType"] == "timestamp-nanos":
        assert read(schema, value) == "1677-09-21T00:12:43.145224192Z"
    else:
        plain = {"type": schema["type"]}
        assert AvroReader(json.dumps(schema)).value(avro(plain, value)) == value


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "long", "logicalType": "date"},
        {"type": "long", "logicalType": "shoe-size"},
        {"type": "long", "logicalType": 5},
    ],
)
def test_a_logical_type_that_does_not_fit_is_ignored(schema: Any) -> None:
    """Avro asks readers to fall back to the type beneath."""
    assert AvroReader(json.dumps(schema)).value(avro("long", 77)) == 77


def test_records_nest_and_keep_the_order_of_fields() -> None:
    """Records within records, arrays, maps and unions keep names and order; references are followed."""
    schema = {
        "type": "record",
        "name": "Order",
        "namespace": "com.acme",
        "fields": [
            {"name": "z", "type": "long"},
            {"name": "digest", "type": {"type": "fixed", "name": "Digest", "size": 2}},
            {"name": "again", "type": "Digest"},
            {"name": "maybe", "type": ["null", "Digest"]},
            {
                "name": "lines",
                "type": {
                    "type": "array",
                    "items": {
                        "type": "record",
                        "name": "Line",
                        "fields": [{"name": "price", "type": DECIMAL}, {"name": "on", "type": "int"}],
                    },
                },
            },
            {"name": "first", "type": ["null", "com.acme.Line"]},
            {"name": "tags", "type": {"type": "map", "values": {"type": "map", "values": "float"}}},
        ],
    }
    line = {"price": Decimal("9.99"), "on": 3}
    found = read(
        schema,
        {
            "z": 1,
            "digest": b"ab",
            "again": b"cd",
            "maybe": b"ef",
            "lines": [line],
            "first": line,
            "tags": {"a": {"b": 0.3}},
        },
    )
    plain = {"price": "9.99", "on": 3}
    assert found == {
        "z": 1,
        "digest": "YWI=",
        "again": "Y2Q=",
        "maybe": "ZWY=",
        "lines": [plain],
        "first": plain,
        "tags": {"a": {"b": 0.3}},
    }
    assert list(found) == [field["name"] for field in schema["fields"]]  # type: ignore[index]
    assert AvroReader(json.dumps(schema)).name == "com.acme.Order"


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"\x02", "the bytes are not"), (avro("string", "ab") + b"\x00", "1 bytes follow"), (b"", "not what")],
)
def test_bytes_that_are_none_are_said_to_be(data: bytes, words: str) -> None:
    """What ends too early, is no text, or goes on after its end is undecodable."""
    with pytest.raises(UndecodableError, match=words) as caught:
        AvroReader('"string"').value(data)
    assert caught.value.reason == "undecodable"


def test_a_decimal_of_a_megabyte_is_refused_quickly() -> None:
    """Printing a number takes time in the square of its length, so there is a bound."""
    with pytest.raises(UndecodableError, match="128 are the most"):
        AvroReader(json.dumps(DECIMAL)).value(avro("bytes", b"\x7f" * 1_000_000))


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        '{"type":"object"}',
        'syntax = "proto3";',
        '{"type":"array","items":"null"}',
        '{"type":"record","name":"T","fields":[{"name":"next","type":["null","T"]}]}',
    ],
)
def test_schemas_that_are_none_or_could_unfold_are_refused(text: str) -> None:
    """JSON Schema, Protobuf, an array of nothing and a record that holds itself are not read with."""
    with pytest.raises(InvalidSchemaError):
        AvroReader(text)
