"""Avro data of any schema as JSON values, by rules that lose nothing.

| Avro | JSON |
| --- | --- |
| null, boolean, string, enum, uuid | the same; enum and uuid as text |
| int, long | a number, exact to the last digit |
| float, double | the shortest number that is read back the same; NaN, Infinity, -Infinity as text |
| decimal | text with all digits of its scale: `"12.30"` |
| bytes, fixed | Base64 text |
| date | `"2026-01-31"` |
| time-millis, time-micros | `"12:00:00.123"`, `"12:00:00.123456"` |
| timestamp-millis, -micros, -nanos | `"2026-01-31T12:00:00.123Z"` with 3, 6 or 9 digits |
| local-timestamp-* | the same without Z |
| duration | ISO 8601: `"P1M2DT3.004S"` |
| record, map | an object, fields in the schema's order |
| array | an array |
| union | the value of its branch, without a tag |

A time outside the years 1 to 9999 stays the number it was. A logical type that does not fit its type is
ignored, as Avro asks.
"""

import math
import struct
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from typing import Any

import fastavro
from fastavro.read import LOGICAL_READERS

from schemas import bounds, compatibility
from schemas.codec import UndecodableError

_OURS = "ensue-"
_FLOAT = struct.Struct("<f")
_DURATION = struct.Struct("<III")
_DECIMAL_BYTES_MAX = 128  # 308 digits
_SCALE_MAX = 308
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_UNITS = {"millis": 3, "micros": 6, "nanos": 9}
_DAY_S = 86_400


class AvroReader:
    """Reads data that one schema wrote; time and memory are bounded by the data's size.

    Attributes:
        name: The full name of the schema's record, enum or fixed; the type's name otherwise.

    Raises InvalidSchemaError for a text that is no Avro schema, and for one whose data could unfold
    (`schemas.bounds`), a record that holds itself included.

    """

    def __init__(self, schema_text: str) -> None:
        parsed = compatibility.parse(schema_text)
        bounds.check(parsed)
        root = parsed.root
        self.name = str(root.get("name", root["type"]) if isinstance(root, dict) else root)
        if isinstance(root, list):
            self.name = "union"
        self._schema: Any = fastavro.parse_schema(_Rewriting(parsed).of(root))

    def value(self, data: bytes, start: int = 0) -> Any:
        """Return the JSON value of the datum that fills `data` from `start`; raises UndecodableError."""
        body = BytesIO(data)
        body.seek(start)
        try:
            found: Any = fastavro.schemaless_reader(body, self._schema, None)
        except Exception as error:
            raise UndecodableError(
                f"the bytes are not what schema {self.name} says: {type(error).__name__}: {error}",
                reason="undecodable",
            ) from error
        if body.tell() != len(data):
            raise UndecodableError(
                f"{len(data) - body.tell()} bytes follow the end of {self.name}", reason="undecodable"
            )
        return found


class _Rewriting:
    """The schema with our own logical types, for which fastavro calls the functions below."""

    def __init__(self, parsed: compatibility.Parsed) -> None:
        self._parsed = parsed
        self._fixed = 0

    def of(self, schema: Any) -> Any:
        if isinstance(schema, list):
            return [self.of(branch) for branch in schema]
        if isinstance(schema, str):
            found = self._parsed.definition(schema)
            if isinstance(found, dict) and found["type"] == "fixed":
                return self._of_fixed(found)
            return _with_ours({"type": schema}) if found is schema else schema
        match schema["type"]:
            case "record" | "error":
                fields = [{"name": f["name"], "type": self.of(f["type"])} for f in schema["fields"]]
                return {"type": "record", "name": schema["name"], "fields": fields}
            case "array":
                return {"type": "array", "items": self.of(schema["items"])}
            case "map":
                return {"type": "map", "values": self.of(schema["values"])}
            case "enum":
                return {"type": "enum", "name": schema["name"], "symbols": schema["symbols"]}
            case "fixed":
                return self._of_fixed(schema)
        return self.of(schema["type"]) if not isinstance(schema["type"], str) else _with_ours(schema)

    def _of_fixed(self, schema: Any) -> Any:
        # fastavro asks for no logical type where a fixed is named instead of defined: define it each time.
        self._fixed += 1
        return _with_ours({**schema, "name": f"ensue.Fixed{self._fixed}"})


def _with_ours(schema: dict[str, Any]) -> Any:
    """Return a plain type with the logical type that reads it, if it needs one."""
    kind, logical = schema["type"], schema.get("logicalType")
    ours = f"{_OURS}{logical}"
    if f"{kind}-{ours}" not in LOGICAL_READERS or not _fits(schema, logical):
        ours = f"{_OURS}plain"
        if f"{kind}-{ours}" not in LOGICAL_READERS:
            return kind
    kept: dict[str, Any] = {name: schema[name] for name in ("name", "size") if name in schema}
    if ours == f"{_OURS}decimal":
        kept["scale"] = schema.get("scale", 0)
    return {**kept, "type": kind, "logicalType": ours}


def _fits(schema: dict[str, Any], logical: Any) -> bool:
    match logical:
        case "decimal":
            scale = schema.get("scale", 0)
            return type(scale) is int and 0 <= scale <= _SCALE_MAX
        case "duration":
            return bool(schema["size"] == _DURATION.size)
        case "uuid":
            return bool(schema["size"] == 16)
    return True


def _float(value: float, *_: Any) -> float | str:
    if not math.isfinite(value):
        return _double(value)
    for digits in (6, 7, 8):
        short = float(f"{value:.{digits}g}")
        try:
            if _FLOAT.unpack(_FLOAT.pack(short))[0] == value:
                return short
        except OverflowError:
            continue
    return float(f"{value:.9g}")


def _double(value: float, *_: Any) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def _bytes(value: bytes, *_: Any) -> str:
    return b64encode(value).decode("ascii")


def _decimal(value: bytes, schema: Any, *_: Any) -> str:
    if len(value) > _DECIMAL_BYTES_MAX:
        raise ValueError(f"a decimal has {len(value)} bytes, {_DECIMAL_BYTES_MAX} are the most")
    number, scale = int.from_bytes(value, signed=True), schema["scale"]
    digits = str(abs(number)).rjust(scale + 1, "0")
    text = f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits
    return f"-{text}" if number < 0 else text


def _uuid(value: bytes, *_: Any) -> str:
    text = value.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _duration(value: bytes, *_: Any) -> str:
    months, days, ms = _DURATION.unpack(value)
    return f"P{months}M{days}DT{ms // 1000}.{ms % 1000:03d}S"


def _date(days: int, *_: Any) -> str | int:
    try:
        return date.fromordinal(days + _EPOCH_DAY).isoformat()
    except (ValueError, OverflowError):
        return days


def _clock(digits: int) -> Callable[..., str | int]:
    def read(value: int, *_: Any) -> str | int:
        seconds, fraction = divmod(value, 10**digits)
        if not 0 <= seconds < _DAY_S:
            return value
        hours, minutes = seconds // 3600, seconds // 60 % 60
        return f"{hours:02d}:{minutes:02d}:{seconds % 60:02d}.{fraction:0{digits}d}"

    return read


def _timestamp(digits: int, zone: str) -> Callable[..., str | int]:
    def read(value: int, *_: Any) -> str | int:
        seconds, fraction = divmod(value, 10**digits)
        try:
            at = _EPOCH + timedelta(seconds=seconds)
        except OverflowError:
            return value
        return f"{at.replace(tzinfo=None).isoformat()}.{fraction:0{digits}d}{zone}"

    return read


LOGICAL_READERS.update(
    {
        f"float-{_OURS}plain": _float,
        f"double-{_OURS}plain": _double,
        f"bytes-{_OURS}plain": _bytes,
        f"fixed-{_OURS}plain": _bytes,
        f"bytes-{_OURS}decimal": _decimal,
        f"fixed-{_OURS}decimal": _decimal,
        f"fixed-{_OURS}uuid": _uuid,
        f"fixed-{_OURS}duration": _duration,
        f"int-{_OURS}date": _date,
        f"int-{_OURS}time-millis": _clock(3),
        f"long-{_OURS}time-micros": _clock(6),
    }
    | {
        f"long-{_OURS}{local}timestamp-{unit}": _timestamp(digits, zone)
        for local, zone in (("", "Z"), ("local-", ""))
        for unit, digits in _UNITS.items()
    }
)
