"""The compatibility check against what fastavro really reads."""

import json
from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.compatibility import unreadable

pytestmark = pytest.mark.property

Schema = Any
PRIMITIVES = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"]
ZERO: dict[str, Any] = {"null": None, "boolean": False, "string": "", "bytes": ""}


def enums() -> st.SearchStrategy[Schema]:
    symbols = st.lists(st.sampled_from("ABC"), min_size=1, max_size=3, unique=True)

    def build(names: list[str], with_default: bool) -> Schema:
        return {
            "type": "enum",
            "name": "E",
            "symbols": names,
            **({"default": names[0]} if with_default else {}),
        }

    return st.builds(build, symbols, st.booleans())


def fixeds() -> st.SearchStrategy[Schema]:
    return st.builds(lambda size: {"type": "fixed", "name": "X", "size": size}, st.integers(1, 2))


# A field's other name, for aliases; no record holds both, since Avro leaves open who would win.
OTHER = {"a": "x", "x": "a", "b": "y", "y": "b", "c": "z"}


def group(found: dict[str, Any]) -> str:
    return min(found["name"], OTHER[found["name"]])


def fields(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    def build(name: str, kind: Schema, with_default: bool, with_alias: bool) -> Schema:
        found = {"name": name, "type": kind}
        if with_default and isinstance(kind, str):
            found["default"] = ZERO.get(kind, 0)
        if with_alias:
            found["aliases"] = [OTHER[name]]
        return found

    one = st.builds(build, st.sampled_from("abcxy"), inner, st.booleans(), st.booleans())
    return st.lists(one, max_size=3, unique_by=group)


def records(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    return st.builds(
        lambda name, alias, fields: {"type": "record", "name": name, "aliases": alias, "fields": fields},
        st.sampled_from(["R", "R", "S"]),
        st.sampled_from([[], [], ["S"]]),
        fields(inner),
    )


FAMILIES = {
    "map": "object",
    "record": "object",
    "string": "text",
    "enum": "text",
    "bytes": "raw",
    "fixed": "raw",
    **dict.fromkeys(("int", "long", "float", "double"), "number"),
}


def unions(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    def family(schema: Schema) -> str:
        kind = schema if isinstance(schema, str) else schema["type"]
        return FAMILIES.get(kind, kind)

    plain = inner.filter(lambda schema: not isinstance(schema, list))
    # One branch of a family: fastavro chooses a branch by the datum, and `{}` is a map and a record alike.
    return st.lists(plain, min_size=1, max_size=3, unique_by=family)


def schemas() -> st.SearchStrategy[Schema]:
    leaves = st.sampled_from(PRIMITIVES) | enums() | fixeds()
    return st.recursive(
        leaves,
        lambda inner: (
            st.builds(lambda items: {"type": "array", "items": items}, inner)
            | st.builds(lambda values: {"type": "map", "values": values}, inner)
            | records(inner)
            | unions(inner)
        ),
        max_leaves=4,
    )


SCHEMAS = schemas()


def unique_names(schema: Schema, prefix: str = "n") -> Schema:
    """Give every named type a namespace of its own place, so that none is defined twice."""
    if isinstance(schema, list):
        return [unique_names(branch, f"{prefix}.b{i}") for i, branch in enumerate(schema)]
    if not isinstance(schema, dict):
        return schema
    found = dict(schema)
    if "name" in found:
        found["namespace"] = prefix
    for key in ("items", "values"):
        if key in found:
            found[key] = unique_names(found[key], f"{prefix}.{key}")
    if "fields" in found:
        found["fields"] = [
            {**f, "type": unique_names(f["type"], f"{prefix}.{f['name']}")} for f in found["fields"]
        ]
    return found


def covering(schema: Schema) -> list[Any]:
    """Data that together take every branch, every symbol and a non-empty array and map."""
    if isinstance(schema, list):
        return [datum for branch in schema for datum in covering(branch)]
    kind = schema if isinstance(schema, str) else schema["type"]
    match kind:
        case "enum":
            return list(schema["symbols"])
        case "fixed":
            return [b"\x01" * schema["size"]]
        case "array":
            return [[datum] for datum in covering(schema["items"])]
        case "map":
            return [{"k": datum} for datum in covering(schema["values"])]
        case "record":
            return _records(schema)
    samples = {"null": None, "boolean": True, "float": 0.5, "double": 0.5, "bytes": b"x", "string": "x"}
    return [samples.get(kind, 7)]


def _records(schema: Schema) -> list[Any]:
    columns = {f["name"]: covering(f["type"]) for f in schema["fields"]}
    longest = max((len(column) for column in columns.values()), default=1)
    return [
        {name: column[min(row, len(column) - 1)] for name, column in columns.items()}
        for row in range(longest)
    ]


def reads(reader: Schema, writer: Schema) -> list[str]:
    """What fastavro says to each covering datum; empty when it reads them all."""
    failures = []
    parsed_writer, parsed_reader = fastavro.parse_schema(writer), fastavro.parse_schema(reader)
    for datum in covering(writer):
        out = BytesIO()
        fastavro.schemaless_writer(out, parsed_writer, datum)
        try:
            fastavro.schemaless_reader(BytesIO(out.getvalue()), parsed_writer, parsed_reader)
        except Exception as error:
            failures.append(f"{datum}: {type(error).__name__}: {error}")
    return failures


@settings(max_examples=400)
@given(SCHEMAS, SCHEMAS)
def test_unrelated_schemas_agree_with_fastavro(reader: Schema, writer: Schema) -> None:
    """For any two schemas the check and fastavro say the same."""
    agree(unique_names(reader), unique_names(writer))


@st.composite
def related(draw: st.DrawFn) -> tuple[Schema, Schema]:
    """A record and the same with some fields changed, as versions differ."""
    writer = draw(records(SCHEMAS))
    kept = [f for f in writer["fields"] if draw(st.integers(0, 3))]
    groups = {group(f) for f in kept}
    added = [f for f in draw(fields(SCHEMAS)) if group(f) not in groups]
    changed = [
        {**f, "type": draw(st.sampled_from([f["type"], ["null", f["type"]]]))} if plain(f) else f
        for f in kept
    ]
    return {**writer, "fields": changed + added}, writer


def plain(field: Schema) -> bool:
    return isinstance(field["type"], str) and field["type"] != "null" and "default" not in field


@settings(max_examples=400)
@given(related())
def test_versions_of_a_record_agree_with_fastavro(pair: tuple[Schema, Schema]) -> None:
    """For two versions of a record the check and fastavro say the same."""
    agree(*(unique_names(schema) for schema in pair))


def agree(reader: Schema, writer: Schema) -> None:
    """The check finds nothing exactly when fastavro reads every covering datum."""
    found = unreadable(json.dumps(reader), json.dumps(writer))
    failures = reads(reader, writer)
    assert bool(found) == bool(failures), (found, failures)
