"""What fits each type of a payload and what does not, each with its field and reason."""

import json
from typing import Any

import pytest

from schemas.compatibility import InvalidSchemaError
from schemas.event_type import (
    EventType,
    UnfitName,
    breaking,
    check_name,
    event_type,
    name_of,
    subject_of,
    view_of,
)
from schemas.misfit import Misfit
from schemas.payload_shape import shape_of

pytestmark = pytest.mark.unit

DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}
UUID = {"type": "string", "logicalType": "uuid"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
DATE = {"type": "int", "logicalType": "date"}
TIME = {"type": "long", "logicalType": "time-micros"}
ENUM = {"type": "enum", "name": "Size", "symbols": ["small", "large"]}
ADDRESS = {"type": "record", "name": "Address", "fields": [{"name": "city", "type": "string"}]}


def record(kind: Any, **more: Any) -> str:
    """A record of one field `x`."""
    return json.dumps({"type": "record", "name": "Paid", "fields": [{"name": "x", "type": kind, **more}]})


def fault(schema: str, payload: Any) -> tuple[str, str]:
    """Field and reason of what does not fit; two empty texts when it fits."""
    try:
        shape_of(schema).read(payload)
    except Misfit as misfit:
        return misfit.path, misfit.reason
    return "", ""


FITS: list[tuple[Any, Any]] = [
    ("string", ""),
    ("string", "é\u0000😀"),
    ("boolean", False),
    ("int", -(2**31)),
    ("long", 2**63 - 1),
    ("long", 2**53 + 1),
    ("double", 3),
    ("double", -1.5e300),
    ("float", 0.1),
    ("bytes", ""),
    ("bytes", "AAECAw=="),
    (DECIMAL, "1234.50"),
    (DECIMAL, "-0.5"),
    (DECIMAL, "7"),
    (UUID, "01890A5D-AC96-774b-bcce-b302099a8057"),
    (MICROS, "2026-01-31T12:00:00.123456Z"),
    (MICROS, "2026-01-31T23:59:59+05:30"),
    (MILLIS, "2026-01-31T12:00:00.123-00:00"),
    (DATE, "2024-02-29"),
    (TIME, "23:59:59.999999"),
    (ENUM, "large"),
    (["null", "long"], None),
    (["null", "long"], 5),
    (["string", "null"], None),
    ({"type": "array", "items": "string"}, []),
    ({"type": "array", "items": ["null", "long"]}, [1, None]),
    ({"type": "map", "values": DECIMAL}, {"a b": "1.00"}),
    (ADDRESS, {"city": "Basel"}),
    ("null", None),
]


@pytest.mark.parametrize(("kind", "value"), FITS)
def test_what_fits(kind: Any, value: Any) -> None:
    """These values are of their types."""
    assert fault(record(kind), {"x": value}) == ("", "")


MISFITS: list[tuple[Any, Any, str, str]] = [
    ("string", 1, "x", "must be a text, not the number 1"),
    ("string", None, "x", "must be a text, not null"),
    ("boolean", 0, "x", "must be true or false, not the number 0"),
    ("boolean", "true", "x", "must be true or false"),
    ("int", 2**31, "x", "must fit 32 bits"),
    ("int", True, "x", "must be a whole number, not true"),
    ("long", 2**63, "x", "must fit 64 bits"),
    ("long", -(2**63) - 1, "x", "must fit 64 bits"),
    ("long", 5.0, "x", "must be a whole number, not the number 5.0"),
    ("long", "5", "x", "must be a whole number, not the text '5'"),
    ("double", "1.5", "x", "must be a number"),
    ("double", 2**53 + 1, "x", "is not exact as a double"),
    ("double", 10**400, "x", "larger than a double"),
    ("double", True, "x", "must be a number, not true"),
    ("float", 1e39, "x", "larger than a float of 32 bits"),
    ("bytes", "AAEC Aw==", "x", "must be base64"),
    ("bytes", "AAE", "x", "with its padding"),
    ("bytes", "AAF=", "x", "must be base64"),
    ("bytes", "-_-_", "x", "must be base64"),
    ("bytes", [1], "x", "must be bytes as base64 text, not an array"),
    (DECIMAL, 12.5, "x", "must be a decimal as text"),
    (DECIMAL, 12, "x", 'for example "12.50"'),
    (DECIMAL, "12.345", "x", "at most 4 digits before and 2 after the point"),
    (DECIMAL, "12345", "x", "at most 4 digits before"),
    (DECIMAL, "1e3", "x", "must be a decimal as text"),
    (DECIMAL, "007", "x", "must be a decimal as text"),
    (DECIMAL, "NaN", "x", "must be a decimal as text"),
    (DECIMAL, "+1", "x", "must be a decimal as text"),
    (DECIMAL, "\u0661", "x", "must be a decimal as text"),
    (UUID, "01890a5dac96774bbcceb302099a8057", "x", "UUID of 36 characters"),
    (UUID, "{01890a5d-ac96-774b-bcce-b302099a8057}", "x", "UUID of 36 characters"),
    (MICROS, "2026-01-31T12:00:00", "x", "must be a time with its zone"),
    (MICROS, "2026-01-31 12:00:00Z", "x", "must be a time with its zone"),
    (MICROS, "2026-01-31T12:00:00.1234567Z", "x", "finer than µs"),
    (MICROS, "2026-02-30T12:00:00Z", "x", "must be a time with its zone"),
    (MICROS, "2026-01-31T24:00:00Z", "x", "must be a time with its zone"),
    (MICROS, "2026-01-31T12:00:60Z", "x", "must be a time with its zone"),
    (MICROS, "2026-01-31T12:00:00+24:00", "x", "must be a time with its zone"),
    (MICROS, 1769860800, "x", "must be a time as text"),
    (MICROS, "1899-12-31T23:59:59Z", "x", "lies in the year 1899"),
    (MICROS, "0001-01-01T00:00:00+23:59", "x", "lies in the year 1"),
    (MICROS, "2300-01-01T00:00:00Z", "x", "the store holds 1900 to 2299"),
    (MILLIS, "2026-01-31T12:00:00.1234Z", "x", "finer than ms"),
    (DATE, "2026-1-31", "x", "must be a date"),
    (DATE, "20260131", "x", "must be a date"),
    (DATE, "2026-01-31T00:00:00Z", "x", "must be a date"),
    (TIME, "12:00", "x", "must be a time of day"),
    (TIME, "12:00:00Z", "x", "must be a time of day"),
    (ENUM, "Large", "x", "must be one of large, small"),
    (["null", "long"], "5", "x", "must be a whole number"),
    ({"type": "array", "items": "long"}, [1, 2, "3"], "x[2]", "must be a whole number"),
    ({"type": "array", "items": "long"}, {"0": 1}, "x", "must be an array, not an object"),
    ({"type": "map", "values": "long"}, {"a": None}, "x.a", "must be a whole number, not null"),
    ({"type": "map", "values": "long"}, [], "x", "must be an object, not an array"),
    ({"type": "array", "items": ADDRESS}, [{"city": "Basel"}, {}], "x[1].city", "is missing"),
    (ADDRESS, {"city": "Basel", "zip": "4051"}, "x.zip", "there is no such field in Address"),
    ("null", 0, "x", "must be null"),
]


@pytest.mark.parametrize(("kind", "value", "path", "reason"), MISFITS)
def test_what_does_not_fit(kind: Any, value: Any, path: str, reason: str) -> None:
    """What is no value of a type is refused by field and reason."""
    found = fault(record(kind), {"x": value})
    assert found[0] == path
    assert reason in found[1]


def test_missing_extra_and_default() -> None:
    """A missing field is named unless it has a default, an unknown one always, and null is a value."""
    assert fault(record("long"), {}) == ("x", "is missing")
    assert fault(record("long", default=5), {}) == ("", "")
    assert fault(record(["null", "long"], default=None), {}) == ("", "")
    assert fault(record("long", default=5), {"x": None})[0] == "x"
    assert fault(record("long"), {"x": 1, "y": 2}) == ("y", "there is no such field in Paid")
    assert fault(record("long"), [1]) == ("", "must be an object, not an array")
    assert shape_of(record("long"), lenient=True).read({"x": 1, "y": 2}) == {"x": 1}


def test_defaults_are_values() -> None:
    """Avro's own spelling of a default (bytes as text, times as numbers) becomes the value it means."""
    made = {
        "bytes": ("bytes", "\u00ff\u0000", b"\xff\x00"),
        "decimal": (DECIMAL, "\u00ff\u0085", "-1.23"),
        "time": (MICROS, 1_000_001, "1970-01-01T00:00:01.000001Z"),
        "day": (DATE, -1, "1969-12-31"),
        "clock": (TIME, 86_399_999_999, "23:59:59.999999"),
        "nested": (ADDRESS, {"city": "Basel"}, {"city": "Basel"}),
        "union": (["long", "null"], 5, 5),
    }
    for kind, default, wanted in made.values():
        shape = shape_of(record(kind, default=default))
        assert shape.write(shape.read({})) in ({"x": wanted}, {"x": "/wA="})


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (record(["null", "long", "string"]), "field x is a union of several types"),
        (record({"type": "array", "items": ["long", "string"]}), "field x[] is a union"),
        (record("long", aliases=["y"]), "field x has aliases"),
        (record("long", default="a"), "not an Avro schema"),
        (record(DATE, default=10**9), "field x has a default that does not fit"),
        (record({**DECIMAL, "precision": 77}), "1 to 76 digits"),
        (record({**DECIMAL, "scale": 7}), "scale"),
        (record({"type": "long", "logicalType": "timestamp-nanos"}), "'timestamp-nanos' on long"),
        (record({"type": "string", "logicalType": "date"}), "'date' on string"),
        ('"string"', "must be a record"),
        ("{}", "not an Avro schema"),
        (
            json.dumps(
                {
                    "type": "record",
                    "name": "Tree",
                    "fields": [{"name": "sub", "type": {"type": "array", "items": "Tree"}}],
                }
            ),
            "holds itself",
        ),
    ],
)
def test_schemas_without_one_meaning_are_refused(schema: str, reason: str) -> None:
    """A schema whose JSON could be read in two ways is refused, and the field is named."""
    with pytest.raises(InvalidSchemaError, match=reason.replace("[", r"\[").replace("]", r"\]")):
        shape_of(schema)


def two_versions() -> EventType:
    """Version 1 has `x` and `old`, version 2 `x` and `new`, which has a default."""
    first = {
        "type": "record",
        "name": "Paid",
        "fields": [{"name": "x", "type": "int"}, {"name": "old", "type": "string"}],
    }
    second = {
        **first,
        "fields": [{"name": "x", "type": "long"}, {"name": "new", "type": "long", "default": 0}],
    }
    return event_type("order.paid", {1: (7, json.dumps(first)), 2: (9, json.dumps(second))})


def test_a_sender_that_is_not_updated_is_still_taken() -> None:
    """A payload of any registered version fits; what fits none is judged by the newest."""
    kind = two_versions()
    assert (kind.newest.number, kind.newest.schema_id) == (2, 9)
    kind.check({"x": 2**40})
    kind.check({"x": 1, "new": 5})
    kind.check({"x": 1, "old": "a"})
    with pytest.raises(Misfit) as caught:
        kind.check({"x": 1, "old": "a", "new": 5})
    assert (caught.value.path, caught.value.reason) == ("old", "there is no such field in Paid")


@pytest.mark.parametrize(
    ("new", "old", "reason"),
    [
        (record("long"), record("int"), ""),
        (record("double"), record("long"), ""),
        (record(["null", "long"]), record("long"), ""),
        (record("int"), record("long"), "Paid.x: the new schema cannot read data of version 1"),
        (record("bytes"), record("string"), "x: string became bytes"),
        (record(["null", "string"]), record(["null", "bytes"]), "x: bytes became string"),
        (record(MICROS), record("long"), "Paid.x: logical type none became timestamp-micros"),
        (record({**DECIMAL, "scale": 1}), record(DECIMAL), "decimal(6, 2) became decimal(6, 1)"),
        (record("long").replace("Paid", "Other"), record("long"), "record Paid was written, record Other"),
        (
            json.dumps(
                {
                    "type": "record",
                    "name": "Paid",
                    "fields": [{"name": "x", "type": "long"}, {"name": "y", "type": "long"}],
                }
            ),
            record("long"),
            "Paid.y: the new schema cannot read data of version 1: the field was not written",
        ),
    ],
)
def test_evolution(new: str, old: str, reason: str) -> None:
    """A newer version reads what older ones wrote and means the same; else field and reason are said."""
    found = breaking(new, {1: old})
    assert bool(found) == bool(reason)
    assert reason in "\n".join(found)


def test_every_earlier_version_counts() -> None:
    """What fits the newest version but not the first one is refused, too."""
    versions = {1: record("string"), 2: record("string", default="").replace('"x"', '"y"')}
    assert "version 1" in "\n".join(breaking(record("long", default=0), versions))


def test_names_subjects_and_views() -> None:
    """An event's name has one subject and one view; two names share a view only by dot and underscore."""
    assert subject_of("order.paid", "ensue.") == "ensue.event.order.paid-value"
    assert name_of("ensue.event.order.paid-value", "ensue.") == "order.paid"
    assert name_of("ensue.events-value", "ensue.") is None
    assert name_of("other.event.order.paid-value", "ensue.") is None
    assert view_of("order.paid") == "events_order_paid"
    assert view_of("custom.file_processed") == "events_custom_file_processed"
    names = ["order.paid", "Order.Paid", "order-paid", "order paid", "order.päid", "order..paid", "x" * 200]
    views = [view_of(name) for name in names]
    assert len(set(views)) == len(names)
    assert all(view.isascii() and len(view) < 120 for view in views)
    assert view_of("Order.Paid").startswith("events_order_paid_")


@pytest.mark.parametrize(
    "name", ["", "order.*", "a?b", "!order", "a/b", "ensue.run.failed", "x" * 201, "a\nb", " a"]
)
def test_names_that_cannot_be_typed(name: str) -> None:
    """Patterns, paths and our own names have no schema."""
    with pytest.raises(UnfitName):
        check_name(name)
