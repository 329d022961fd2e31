"""The SQL view of a typed event name: one typed column per field, over the stored JSON text.

No expression here can raise: events of the name that came before its schema are in the table, too, and one of
them must not break every question. What cannot be read is NULL, or zero or empty where NULL cannot be.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from schemas.compatibility import Parsed, parse
from schemas.event_type import EventType, view_of
from schemas.payload_shape import defaults_as_json
from streams.store import sql_files

_OWN = frozenset({"id", "occurred", "received", "resource_id", "source", "event", "payload"})
_RENAMED = "payload_"
_PLAIN = {
    "null": "String",
    "boolean": "Bool",
    "int": "Int32",
    "long": "Int64",
    "float": "Float32",
    "double": "Float64",
    "string": "String",
    "bytes": "String",
    "fixed": "String",
    "enum": "String",
    "uuid": "UUID",
    "date": "Date32",
    "time-millis": "String",
    "time-micros": "String",
}
_PART = "typed_part"  # of schemas.carried_payload, defined in typed_view.sql
_DIGITS = {"timestamp-millis": 3, "timestamp-micros": 6}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a view.

    Attributes:
        name: The field's name, `payload_…` where an event has a column of that name itself.
        field: The field.
        sql_type: What toTypeName says.
        expression: How it is read off the typed part of `payload`.

    """

    name: str
    field: str
    sql_type: str
    expression: str


@dataclass(frozen=True, slots=True)
class _Read:
    """How a value is extracted, and made what it is.

    Attributes:
        wide: The type extracted.
        sql_type: The type it becomes.
        made: Makes it from what was extracted, if that is needed; `made_null` where it may be NULL.

    """

    wide: str
    sql_type: str
    made: Callable[[str], str] | None = None
    made_null: Callable[[str], str] | None = None


def view_text(kind: EventType) -> str:
    """Return the statement that makes the view of a type's newest version, or brings it up to date."""
    columns = "".join(f",\n    {one.expression} AS `{one.name}`" for one in columns_of(kind))
    text = sql_files.query_text("typed_view").replace("TARGET", view_of(kind.name))
    return text.replace("EVENT", _quoted(kind.name)).replace(" COLUMNS", columns)


def columns_of(kind: EventType) -> list[Column]:
    """Return the columns of a type's newest version, in the order of its fields."""
    version = kind.newest
    parsed = parse(version.text)
    names = set(version.shape.fields)
    defaults = defaults_as_json(version.shape)
    found = []
    for one in parsed.root["fields"]:
        name = one["name"]
        shown = name
        while shown in _OWN or (shown != name and shown in names):
            shown = f"{_RENAMED}{shown}"
        source = _PART
        if defaults.get(name) is not None:
            whole = json.dumps({name: defaults[name]}, ensure_ascii=False)
            source = f"if(JSONHas({_PART}, {_quoted(name)}), {_PART}, {_quoted(whole)})"
        sql_type, expression = _column(parsed, one["type"], source, _quoted(name))
        found.append(Column(name=shown, field=name, sql_type=sql_type, expression=expression))
    return found


def _column(parsed: Parsed, schema: Any, source: str, key: str) -> tuple[str, str]:
    read = _read(parsed, schema, inside=False)
    if read is None:
        raw = f"JSONExtractRaw({source}, {key})"
        if _is_nullable(parsed, schema):
            return "Nullable(String)", f"nullIf(nullIf({raw}, 'null'), '')"
        return "String", raw
    value = f"JSONExtract({source}, {key}, {_quoted(read.wide)})"
    return read.sql_type, read.made(value) if read.made else value


def _is_nullable(parsed: Parsed, schema: Any) -> bool:
    return isinstance(parsed.definition(schema), list) and "null" in parsed.definition(schema)


def _read(parsed: Parsed, schema: Any, *, inside: bool) -> _Read | None:
    """Return how a type is read; None for what holds a record: its JSON text is the column."""
    schema = parsed.definition(schema)
    if isinstance(schema, list):
        real = [one for one in schema if parsed.definition(one) != "null"]
        inner = _read(parsed, real[0] if real else "null", inside=inside)
        if inner is None or len(real) == len(schema) or inner.wide.startswith(("Array(", "Map(")):
            return inner
        return _nullable(inner)
    if isinstance(schema, str):
        schema = {"type": schema}
    kind, logical = schema["type"], schema.get("logicalType", "")
    if not isinstance(kind, str):
        return _read(parsed, kind, inside=inside)
    match kind:
        case "record" | "error":
            return None
        case "array":
            return _array(_read(parsed, schema["items"], inside=True))
        case "map":
            return _map(_read(parsed, schema["values"], inside=True))
    return _value(kind, logical, schema, inside=inside)


def _value(kind: str, logical: str, schema: Any, *, inside: bool) -> _Read:
    if logical == "decimal":
        name = f"Decimal({schema['precision']}, {schema.get('scale', 0)})"
        # Extracted as a decimal, a JSON number that is too large would raise.
        return _Read(
            "String",
            name,
            lambda text: f"accurateCastOrDefault({text}, {_quoted(name)})",
            lambda text: f"accurateCastOrNull({text}, {_quoted(name)})",
        )
    if logical in _DIGITS:
        digits = _DIGITS[logical]
        return _Read(
            "String",
            f"DateTime64({digits}, 'UTC')",
            lambda text: f"parseDateTime64BestEffortOrZero({text}, {digits}, 'UTC')",
            lambda text: f"parseDateTime64BestEffortOrNull({text}, {digits}, 'UTC')",
        )
    name = _PLAIN[logical or kind]
    if kind in {"bytes", "fixed"}:
        return _Read(name, name, _decoded, _decoded)
    if kind == "null":
        return _Read("Nullable(String)", "Nullable(String)")
    if kind == "enum" and not inside:
        return _Read(f"LowCardinality({name})", f"LowCardinality({name})")
    return _Read(name, name)


def _nullable(inner: _Read) -> _Read:
    def wrapped(name: str) -> str:
        if name.startswith("Nullable("):
            return name
        if name.startswith("LowCardinality("):
            return f"LowCardinality(Nullable({name.removeprefix('LowCardinality(')})"
        return f"Nullable({name})"

    return _Read(wrapped(inner.wide), wrapped(inner.sql_type), inner.made_null)


def _decoded(text: str) -> str:
    return f"tryBase64Decode({text})"


def _array(item: _Read | None) -> _Read | None:
    if item is None:
        return None
    made = item.made
    return _Read(
        f"Array({item.wide})",
        f"Array({item.sql_type})",
        None if made is None else lambda text: f"arrayMap(x -> {made('x')}, {text})",
    )


def _map(value: _Read | None) -> _Read | None:
    if value is None:
        return None
    made = value.made
    return _Read(
        f"Map(String, {value.wide})",
        f"Map(String, {value.sql_type})",
        None if made is None else lambda text: f"mapApply((k, v) -> (k, {made('v')}), {text})",
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
