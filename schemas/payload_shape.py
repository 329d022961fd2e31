"""An Avro schema as the shape of JSON payloads: what fits, what a value means, and how it is written.

Only schemas whose JSON has one meaning are taken: a union is null and one type, a field has one name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from schemas import avro_default, bounds, json_value
from schemas.compatibility import InvalidSchemaError, Parsed, parse
from schemas.json_value import TYPES
from schemas.misfit import Misfit, json_word

DECIMAL_DIGITS_MAX = 76  # of the store's widest decimal
_MISSING: Any = object()
_LOGICAL = {
    "uuid": "string",
    "date": "int",
    "time-millis": "int",
    "time-micros": "long",
    "timestamp-millis": "long",
    "timestamp-micros": "long",
}


class Shape(Protocol):
    """What a JSON value must be."""

    @property
    def read(self) -> Any:
        """JSON → Python value; raises Misfit."""
        ...

    @property
    def write(self) -> Any:
        """Python value → JSON; raises Misfit."""
        ...


@dataclass(frozen=True, slots=True)
class Nullable:
    """Null, or something."""

    inner: Shape

    def read(self, value: Any) -> Any:
        """Return None or the inner value."""
        return None if value is None else self.inner.read(value)

    def write(self, value: Any) -> Any:
        """Return None or the inner JSON."""
        return None if value is None else self.inner.write(value)


@dataclass(frozen=True, slots=True)
class Array:
    """Items in order."""

    item: Shape

    def read(self, value: Any) -> list[Any]:
        """Return the items."""
        if type(value) is not list:
            raise Misfit(f"must be an array, not {json_word(value)}")
        return _each(self.item.read, value)

    def write(self, value: Any) -> list[Any]:
        """Return the items' JSON."""
        if not isinstance(value, list | tuple):
            raise Misfit(f"must be a list, not {type(value).__name__}")
        return _each(self.item.write, value)


@dataclass(frozen=True, slots=True)
class Map:
    """Values by text keys."""

    value: Shape

    def read(self, value: Any) -> dict[str, Any]:
        """Return the values."""
        if type(value) is not dict:
            raise Misfit(f"must be an object, not {json_word(value)}")
        return {key: _at(key, self.value.read, one) for key, one in value.items()}

    def write(self, value: Any) -> dict[str, Any]:
        """Return the values' JSON."""
        if not isinstance(value, Mapping):
            raise Misfit(f"must be a dict, not {type(value).__name__}")
        text = TYPES["string"]
        return {text.write(key): _at(str(key), self.value.write, one) for key, one in value.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a record; `default` is a Python value, absent when the field must be there."""

    name: str
    shape: Shape
    default: Any = field(default=_MISSING)

    @property
    def required(self) -> bool:
        """Whether a payload must have it."""
        return self.default is _MISSING


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Named fields. `lenient` leaves out what it does not know, as a reader does with newer data."""

    name: str
    fields: Mapping[str, Field]
    lenient: bool = False

    def read(self, value: Any) -> dict[str, Any]:
        """Return the values by field, defaults filled in."""
        if type(value) is not dict:
            raise Misfit(f"must be an object, not {json_word(value)}")
        if not self.lenient and not value.keys() <= self.fields.keys():
            unknown = next(str(key)[:100] for key in value if key not in self.fields)
            raise Misfit(f"there is no such field in {self.name}", unknown)
        found = {}
        for name, one in self.fields.items():
            given = value.get(name, _MISSING)
            if given is not _MISSING:
                found[name] = _at(name, one.shape.read, given)
            elif one.required:
                raise Misfit("is missing", name)
            else:
                found[name] = one.default
        return found

    def write(self, value: Any) -> dict[str, Any]:
        """Return the JSON of a dict of fields; defaults are written out."""
        if not isinstance(value, Mapping):
            raise Misfit(f"must be a dict of {self.name}, not {type(value).__name__}")
        if unknown := [key for key in value if key not in self.fields]:
            raise Misfit(f"there is no such field in {self.name}", str(unknown[0])[:100])
        out = {}
        for name, one in self.fields.items():
            given = value.get(name, one.default)
            if given is _MISSING:
                raise Misfit("is missing", name)
            out[name] = _at(name, one.shape.write, given)
        return out


def _at(name: str, step: Any, value: Any) -> Any:
    try:
        return step(value)
    except Misfit as misfit:
        raise misfit.below(name[:100]) from None


def _each(step: Any, values: Any) -> list[Any]:
    found: list[Any] = []
    try:
        found.extend(step(one) for one in values)
    except Misfit as misfit:
        raise misfit.below(f"[{len(found)}]") from None
    return found


def shape_of(text: str, *, lenient: bool = False) -> Record:
    """Return the shape of payloads of a schema's JSON text.

    Raises InvalidSchemaError naming the field, for what is no record or has no single meaning in JSON.
    """
    parsed = parse(text)
    bounds.check(parsed)
    found = _Compiler(parsed, lenient=lenient).shape(parsed.root, "")
    if not isinstance(found, Record):
        raise InvalidSchemaError("a payload is a JSON object, so its schema must be a record")
    return found


class _Compiler:
    def __init__(self, parsed: Parsed, *, lenient: bool) -> None:
        self._parsed = parsed
        self._lenient = lenient
        self._known: dict[str, Record] = {}

    def shape(self, schema: Any, path: str) -> Shape:
        schema = self._parsed.definition(schema)
        if isinstance(schema, list):
            return self._union(schema, path)
        if isinstance(schema, str):
            return TYPES[schema]
        kind, logical = schema["type"], schema.get("logicalType")
        if not isinstance(kind, str):
            return self.shape(kind, path)
        match kind:
            case "array":
                return Array(self.shape(schema["items"], f"{path}[]"))
            case "map":
                return Map(self.shape(schema["values"], f"{path}{{}}"))
            case "enum":
                return json_value.one_of(frozenset(schema["symbols"]))
            case "record" | "error":
                return self._record(schema, path)
        return _plain(kind, logical, schema, path)

    def _union(self, branches: list[Any], path: str) -> Shape:
        real = [one for one in branches if self._parsed.definition(one) != "null"]
        if len(real) > 1:
            raise _refused(
                path, "is a union of several types, which JSON cannot tell apart; use null and one"
            )
        if not real:
            return TYPES["null"]
        inner = self.shape(real[0], path)
        return Nullable(inner) if len(real) < len(branches) else inner

    def _record(self, schema: Any, path: str) -> Record:
        name = str(schema["name"])
        if name in self._known:
            return self._known[name]
        fields = {}
        for one in schema["fields"]:
            where = f"{path}.{one['name']}".lstrip(".")
            if one.get("aliases"):
                raise _refused(where, "has aliases; JSON carries names, so add a new field instead")
            fields[one["name"]] = self._field(one, where)
        short = name.rpartition(".")[2]
        found = self._known[name] = Record(name=short, fields=fields, lenient=self._lenient)
        return found

    def _field(self, schema: Any, path: str) -> Field:
        shape = self.shape(schema["type"], path)
        if "default" not in schema:
            return Field(name=schema["name"], shape=shape)
        try:
            value = avro_default.value_of(self._parsed, schema["type"], schema["default"])
            shape.write(value)
        except (Misfit, ValueError, TypeError, KeyError, OverflowError, AttributeError) as error:
            raise _refused(path, f"has a default that does not fit its type ({error})") from None
        return Field(name=schema["name"], shape=shape, default=value)


def _plain(kind: str, logical: str | None, schema: Mapping[str, Any], path: str) -> Shape:
    if logical is None:
        return json_value.fixed(int(schema["size"])) if kind == "fixed" else TYPES[kind]
    if logical == "decimal" and kind in {"bytes", "fixed"}:
        precision, scale = int(schema.get("precision", 0)), int(schema.get("scale", 0))
        if not 0 <= scale <= precision or not 0 < precision <= DECIMAL_DIGITS_MAX:
            reason = f"needs 1 to {DECIMAL_DIGITS_MAX} digits (precision), of which scale follow the point"
            raise _refused(path, reason)
        if kind == "fixed" and 10**precision > 1 << (8 * int(schema["size"]) - 1):
            raise _refused(path, f"has {precision} digits, more than {schema['size']} bytes can hold")
        return json_value.decimal(precision, scale)
    if _LOGICAL.get(logical) != kind:
        known = ", ".join(["decimal", *_LOGICAL])
        raise _refused(path, f"has the logical type {logical!r} on {kind}; these are known: {known}")
    return TYPES[logical]


def _refused(path: str, reason: str) -> InvalidSchemaError:
    return InvalidSchemaError(f"field {path or '(root)'} {reason}")


def defaults_as_json(record: Record) -> dict[str, Any]:
    """Return the JSON of every default of a record's own fields."""
    return {name: one.shape.write(one.default) for name, one in record.fields.items() if not one.required}
