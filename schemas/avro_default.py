"""Defaults as Avro writes them into a schema ↔ Python values.

Avro's text form of a default is its own: bytes and decimals are texts of code points 0 to 255, times are
numbers. A union's default is of its first branch.
"""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from schemas.compatibility import Parsed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1)
_US = {"millis": 1000, "micros": 1}


def value_of(parsed: Parsed, schema: Any, default: Any) -> Any:
    """Return the Python value of a default; raises ValueError, TypeError or KeyError when it is none."""
    schema = parsed.definition(schema)
    if isinstance(schema, list):
        return value_of(parsed, schema[0], default)
    if isinstance(schema, str):
        return default.encode("latin-1") if schema == "bytes" else default
    kind, logical = schema["type"], schema.get("logicalType")
    if not isinstance(kind, str):
        return value_of(parsed, kind, default)
    match kind:
        case "array":
            return [value_of(parsed, schema["items"], one) for one in default]
        case "map":
            return {key: value_of(parsed, schema["values"], one) for key, one in default.items()}
        case "record" | "error":
            return {
                one["name"]: value_of(
                    parsed, one["type"], default[one["name"]] if one["name"] in default else one["default"]
                )
                for one in schema["fields"]
            }
        case "bytes" | "fixed":
            raw = default.encode("latin-1")
            if logical == "decimal":
                return _scaled(int.from_bytes(raw, signed=True), int(schema.get("scale", 0)))
            return raw
    return _moment(logical, default) if logical else default


def _scaled(unscaled: int, scale: int) -> Decimal:
    digits = tuple(map(int, str(abs(unscaled))))
    return Decimal((int(unscaled < 0), digits, -scale))


def _moment(logical: str, default: Any) -> Any:
    if logical == "uuid":
        return UUID(default)
    if logical == "date":
        return _EPOCH_DAY + timedelta(days=default)
    name, _, unit = logical.partition("-")
    since = timedelta(microseconds=default * _US[unit])
    if name == "timestamp":
        return _EPOCH + since
    if not timedelta(0) <= since < timedelta(days=1):
        raise ValueError("it is no time of day")
    return (_EPOCH + since).time()


def default_of(schema: Any, value: Any) -> Any:
    """Return Avro's form of a Python value that stands beside its own field (no name is looked up).

    Takes what `schemas.model_schema` makes: plain and logical types, enums, arrays, maps and null.
    """
    if isinstance(schema, list):
        return default_of(schema[0], value)
    match value:
        case Enum():
            return value.value
        case bytes():
            return value.decode("latin-1")
        case Decimal():
            return _unscaled(value, int(schema["scale"])).decode("latin-1")
        case UUID():
            return str(value)
        case datetime():
            if value.utcoffset() is None:
                raise ValueError("it has no time zone")
            return (value.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)
        case date():
            return (value - _EPOCH_DAY).days
        case time():
            return (datetime.combine(_EPOCH_DAY, value) - datetime.combine(_EPOCH_DAY, time())) // timedelta(
                microseconds=1
            )
        case list() | tuple():
            return [default_of(schema["items"], one) for one in value]
        case dict():
            return {key: default_of(schema["values"], one) for key, one in value.items()}
    return value


def _unscaled(value: Decimal, scale: int) -> bytes:
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    shift = exponent + scale
    number: int = int("".join(map(str, digits)))
    if shift < 0 and number % 10**-shift:
        raise ValueError(f"{value} has more than {scale} digits after the point")
    number = number * int(10**shift) if shift >= 0 else number // int(10**-shift)
    number = -number if sign else number
    return number.to_bytes(number.bit_length() // 8 + 1, signed=True)
