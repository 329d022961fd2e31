"""Avro's resolution rules, case by case."""

import json
import re
from typing import Any

import pytest

from schemas.compatibility import (
    InvalidSchemaError,
    Level,
    changed_meanings,
    incompatibilities,
    parse,
    unreadable,
)

pytestmark = pytest.mark.unit

Schema = Any


def record(*fields: dict[str, Any], name: str = "R", **extra: Any) -> Schema:
    return {"type": "record", "name": name, "fields": list(fields), **extra}


def field(kind: Schema, name: str = "a", **extra: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **extra}


def enum(*symbols: str, name: str = "E", **extra: Any) -> Schema:
    return {"type": "enum", "name": name, "symbols": list(symbols), **extra}


def fixed(size: int, name: str = "X", **extra: Any) -> Schema:
    return {"type": "fixed", "name": name, "size": size, **extra}


def array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def mapping(values: Schema) -> Schema:
    return {"type": "map", "values": values}


PROMOTIONS = {
    ("int", "long"),
    ("int", "float"),
    ("int", "double"),
    ("long", "float"),
    ("long", "double"),
    ("float", "double"),
    ("string", "bytes"),
    ("bytes", "string"),
}
PRIMITIVES = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"]


@pytest.mark.parametrize("writer", PRIMITIVES)
@pytest.mark.parametrize("reader", PRIMITIVES)
def test_primitives_are_read_as_themselves_or_promoted(writer: str, reader: str) -> None:
    """A primitive is readable as itself and along the eight promotions, nothing else."""
    fine = writer == reader or (writer, reader) in PROMOTIONS
    assert (not unreadable(json.dumps(reader), json.dumps(writer))) is fine


NODE = record(field(["null", "Node"], "next"), field("int"), name="Node")
READABLE: dict[str, tuple[Schema, Schema]] = {
    "field with default added": (record(field("int", default=1)), record()),
    "field removed": (record(), record(field("int"))),
    "fields reordered": (record(field("int"), field("int", "b")), record(field("int", "b"), field("int"))),
    "field renamed with alias": (record(field("int", "b", aliases=["a"])), record(field("int"))),
    "record renamed with alias": (record(name="S", aliases=["R"]), record()),
    "record moved to a namespace": (record(namespace="n"), record()),
    "record renamed within a namespace": (
        record(name="S", namespace="n", aliases=["R"]),
        record(namespace="n"),
    ),
    "null added": (record(field(["null", "int"])), record(field("int"))),
    "branch added": (["int", "string"], ["int"]),
    "union read as its only branch": ("int", ["int"]),
    "union promoted": ("double", ["int", "float"]),
    "union inside a union's branch": (["null", array(["int", "long"])], array("int")),
    "symbol added": (enum("A", "B"), enum("A")),
    "symbol removed, default there": (enum("A", default="A"), enum("A", "B")),
    "array items promoted": (array("long"), array("int")),
    "map values promoted": (mapping("bytes"), mapping("string")),
    "fixed renamed with alias": (fixed(4, name="Y", aliases=["X"]), fixed(4)),
    "recursive record, promoted": (record(field(["null", "Node"], "next"), field("long"), name="Node"), NODE),
    "logical type added": ({"type": "long", "logicalType": "timestamp-micros"}, "long"),
}


@pytest.mark.parametrize("case", READABLE)
def test_readable(case: str) -> None:
    """Each of these changes keeps old data readable."""
    reader, writer = READABLE[case]
    assert unreadable(json.dumps(reader), json.dumps(writer)) == []


UNREADABLE: dict[str, tuple[Schema, Schema, str]] = {
    "field without default added": (record(field("int")), record(), "R.a: the field was not written"),
    "field renamed": (record(field("int", "b")), record(field("int")), "R.b: the field was not written"),
    "narrowed": (record(field("int")), record(field("long")), "R.a: long was written, int is read"),
    "record renamed": (
        record(name="S"),
        record(),
        "S: record R was written, record S is read; keep the name",
    ),
    "branch removed": (record(field("int")), record(field(["null", "int"])), "R.a: null was written, int"),
    "branch unknown": (
        ["null", "int"],
        ["string"],
        "union: string was written, the union read has no branch",
    ),
    "symbol removed": (
        record(field(enum("A"))),
        record(field(enum("A", "B", "C"))),
        "R.a: the symbols B, C may have been written",
    ),
    "fixed resized": (
        record(field(fixed(8))),
        record(field(fixed(4))),
        "R.a: 4 bytes were written, 8 are read",
    ),
    "array to map": (
        record(field(mapping("int"))),
        record(field(array("int"))),
        "R.a: array was written, map",
    ),
    "deep": (
        record(field(array(mapping(record(field("int", "x"), name="I"))))),
        record(field(array(mapping(record(field("string", "x"), name="I"))))),
        "R.a[]{}.x: string was written, int is read",
    ),
    "record in a union": (
        record(field(["null", record(field("int", "x"), name="I")])),
        record(field(["null", record(name="I")])),
        "R.a.x: the field was not written and has no default",
    ),
    "recursive": (
        record(field(["null", "Node"], "next"), field("string"), name="Node"),
        NODE,
        "Node.a: int was",
    ),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_unreadable_names_field_and_reason(case: str) -> None:
    """Each of these changes is refused with the field's path and the reason."""
    reader, writer, sentence = UNREADABLE[case]
    found = unreadable(json.dumps(reader), json.dumps(writer))
    assert any(line.startswith(sentence) for line in found), found


V1, V2, V3 = (
    json.dumps(record(field("int"))),
    json.dumps(record(field("int"), field("int", "b", default=0))),
    json.dumps(record(field("int"), field("int", "b"))),
)
BOTH_EARLIER = {1: V1, 2: V2}


@pytest.mark.parametrize(
    ("level", "new", "versions_named"),
    [
        (Level.NONE, json.dumps(record(name="Z")), set()),
        (Level.BACKWARD, V3, set()),  # version 2 has b
        (Level.BACKWARD_TRANSITIVE, V3, {1}),  # version 1 has not
        (Level.FORWARD, V1, set()),  # b has a default in version 2
        (Level.FORWARD_TRANSITIVE, json.dumps(record()), {1, 2}),
        (Level.FULL, json.dumps(record(field("long"), field("int", "b"))), {2}),
        (Level.FULL_TRANSITIVE, json.dumps(record(field("long"), field("int", "b", default=0))), {1, 2}),
    ],
)
def test_levels_look_at_the_right_versions_and_ways(level: Level, new: str, versions_named: set[int]) -> None:
    """A level decides which versions are looked at and in which direction."""
    found = incompatibilities(level, new, BOTH_EARLIER)
    assert {
        n for n in BOTH_EARLIER if any(re.search(rf"version {n}\b", line) for line in found)
    } == versions_named


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "null",
        "7",
        '"foo"',
        '{"type": "record"}',
        "[" * 100_000,
        '{"type":"array","items":' * 50_000 + '"int"' + "}" * 50_000,
    ],
    ids=["json", "null", "number", "unknown", "nameless", "brackets", "deep"],
)
def test_what_is_no_schema_is_said_to_be_none(text: str) -> None:
    """Broken JSON, unknown types and absurd depth raise InvalidSchemaError, nothing else."""
    with pytest.raises(InvalidSchemaError):
        unreadable(text, text)


def test_a_changed_logical_type_changes_the_meaning() -> None:
    """Milliseconds read as microseconds resolve in Avro; our history check refuses them by field."""
    millis = json.dumps(record(field({"type": "long", "logicalType": "timestamp-millis"})))
    micros = json.dumps(record(field(["null", {"type": "long", "logicalType": "timestamp-micros"}])))
    assert unreadable(micros, millis) == []
    assert changed_meanings(micros, millis)[0].startswith(
        "R.a: logical type timestamp-millis became timestamp-mic"
    )
    assert changed_meanings(millis, millis) == []


def test_parse_resolves_names_within_namespaces() -> None:
    """A short name inside a namespace is the full name's definition."""
    inner = record(field("int"), name="I")
    parsed = parse(json.dumps(record(field(inner), field("I", "b"), name="R", namespace="n.s")))
    assert parsed.definition("n.s.I")["fields"][0]["name"] == "a"
