"""Typed payloads: every value of every type goes to JSON text and back unchanged, and never otherwise."""

import json
import math
import struct
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from schemas import json_value
from schemas.avro_json import AvroReader
from schemas.json_value import TYPES
from schemas.misfit import Misfit
from schemas.payload_shape import shape_of
from streams import strict_json

pytestmark = pytest.mark.property

FIRST = datetime(1900, 1, 1, tzinfo=UTC).replace(tzinfo=None)  # as Hypothesis takes bounds
LAST = datetime(2299, 12, 31, 23, 59, 59, 999999, tzinfo=UTC).replace(tzinfo=None)
REFUSED: Any = object()
SINGLE = st.floats(width=32, allow_nan=False, allow_infinity=False)
ZONES = st.builds(
    lambda minutes: timezone(timedelta(minutes=minutes)), st.integers(min_value=-1439, max_value=1439)
)
TIMES = st.datetimes(min_value=FIRST + timedelta(days=2), max_value=LAST - timedelta(days=2), timezones=ZONES)


def to_ms(at: Any) -> Any:
    """The same time without what is finer than milliseconds."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def read(kind: Any, document: Any) -> Any:
    """What a type makes of JSON; REFUSED when it says why not."""
    try:
        return kind.read(document)
    except Misfit as misfit:
        return REFUSED if misfit.reason else misfit


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    """Decimals that fit, in every spelling."""
    limit = 10**precision - 1
    return st.builds(
        # By text: arithmetic would round to 28 digits.
        lambda number, zeros: Decimal(f"{number}{'0' * zeros}e-{scale + zeros}"),
        st.integers(min_value=-limit, max_value=limit),
        st.integers(min_value=0, max_value=3),
    )


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(min_value=-(2**31), max_value=2**31 - 1),
    "long": st.integers(min_value=-(2**63), max_value=2**63 - 1),
    "float": SINGLE,
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "bytes": st.binary(max_size=40),
    "string": st.text(max_size=40),
    "uuid": st.uuids(),
    "date": st.dates(min_value=FIRST.date(), max_value=LAST.date()),
    "time-millis": st.times().map(to_ms),
    "time-micros": st.times(),
    "timestamp-millis": TIMES.map(to_ms),
    "timestamp-micros": TIMES,
}
ON = {
    "uuid": "string",
    "date": "int",
    "time-millis": "int",
    "time-micros": "long",
    "timestamp-millis": "long",
    "timestamp-micros": "long",
}


def through_text(value: Any) -> Any:
    """What a program that reads JSON strictly makes of the JSON text of a value."""
    return strict_json.loads(strict_json.dumps({"v": value}), depth_max=64)["v"]


@pytest.mark.parametrize("name", sorted(VALUES))
def test_every_value_of_a_type_comes_back(name: str) -> None:
    """Python value → JSON text → Python value is the same value, sign of zero included."""
    assert set(VALUES) == set(TYPES)
    kind = TYPES[name]

    @given(VALUES[name])
    def check(value: Any) -> None:
        found = kind.read(through_text(kind.write(value)))
        assert found == value
        assert type(found) is type(value) or isinstance(value, datetime)
        if isinstance(value, float):
            assert math.copysign(1, found) == math.copysign(1, value)

    check()


@given(st.data())
def test_every_decimal_comes_back(data: st.DataObject) -> None:
    """A decimal of any precision and scale is the same after JSON text, whatever its spelling."""
    precision = data.draw(st.integers(min_value=1, max_value=76))
    scale = data.draw(st.integers(min_value=0, max_value=precision))
    kind = json_value.decimal(precision, scale)
    value = data.draw(decimals(precision, scale))
    text = kind.write(value)
    assert kind.read(through_text(text)) == value
    assert len(text.partition(".")[2]) == scale
    with pytest.raises(Misfit):
        kind.write(Decimal(10) ** (precision - scale))
    with pytest.raises(Misfit):
        kind.write(Decimal(1).scaleb(-scale - 1))


@given(st.binary(max_size=16))
def test_bytes_of_one_length_come_back(value: bytes) -> None:
    """Fixed bytes come back, and one byte more or less is refused."""
    kind = json_value.fixed(len(value))
    assert kind.read(through_text(kind.write(value))) == value
    with pytest.raises(Misfit):
        kind.read(kind.write(value)[:-4] + "AAAAAAAA" if value else "AA==")


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["2026-01-31", "2026-01-31T12:00:00Z", "12:00:00", "1.50", "AAA=", "-0.0", "1e5"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(TYPES)), ANY_JSON)
def test_what_is_read_is_written_as_the_same_value(name: str, document: Any) -> None:
    """Any JSON at all is refused with a sentence, or read as a value that is written and read the same."""
    kind = TYPES[name]
    value = read(kind, document)
    assert value is REFUSED or kind.read(kind.write(value)) == value


@given(ANY_JSON)
def test_any_json_as_a_decimal(document: Any) -> None:
    """Any JSON at all is refused as a decimal or comes back as the same one."""
    kind = json_value.decimal(9, 3)
    value = read(kind, document)
    assert value is REFUSED or kind.read(kind.write(value)) == value


@st.composite
def schemas(draw: st.DrawFn, depth: int = 3, names: Any = None) -> tuple[Any, st.SearchStrategy[Any]]:
    """A type with the values that it has."""
    names = names if names is not None else iter(range(10_000))
    kinds = ["plain", "decimal", "enum", "null"] + (["array", "map", "record", "nullable"] if depth else [])
    match draw(st.sampled_from(kinds)):
        case "plain":
            name = draw(st.sampled_from(sorted(set(VALUES) - {"null"})))
            return ({"type": ON[name], "logicalType": name} if name in ON else name), VALUES[name]
        case "decimal":
            precision = draw(st.integers(min_value=1, max_value=40))
            scale = draw(st.integers(min_value=0, max_value=precision))
            return (
                {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale},
                decimals(precision, scale),
            )
        case "enum":
            return {"type": "enum", "name": f"E{next(names)}", "symbols": ["A", "B"]}, st.sampled_from("AB")
        case "array":
            inner, values = draw(schemas(depth=depth - 1, names=names))
            return {"type": "array", "items": inner}, st.lists(values, max_size=3)
        case "map":
            inner, values = draw(schemas(depth=depth - 1, names=names))
            return {"type": "map", "values": inner}, st.dictionaries(st.text(max_size=5), values, max_size=3)
        case "nullable":
            inner, values = draw(schemas(depth=depth - 1, names=names))
            return (inner, values) if isinstance(inner, list) else (["null", inner], st.none() | values)
        case "record":
            return draw(records(depth=depth - 1, names=names))
    return "null", st.none()


@st.composite
def records(draw: st.DrawFn, depth: int = 2, names: Any = None) -> tuple[Any, st.SearchStrategy[Any]]:
    """A record with its values."""
    names = names if names is not None else iter(range(10_000))
    parts = [draw(schemas(depth=depth, names=names)) for _ in range(draw(st.integers(1, 4)))]
    parts = [(s, v) for s, v in parts if s != ["null", "null"]]
    fields = [{"name": f"f{at}", "type": s} for at, (s, _) in enumerate(parts)]
    values = st.fixed_dictionaries({f"f{at}": v for at, (_, v) in enumerate(parts)})
    return {"type": "record", "name": f"R{next(names)}", "fields": fields}, values


@given(st.data())
def test_payloads_of_any_schema_come_back(data: st.DataObject) -> None:
    """A payload of a drawn schema goes to JSON text and back; Avro's own bytes of it say the same JSON."""
    schema, values = data.draw(records())
    text = json.dumps(schema)
    try:
        shape = shape_of(text)
    except ValueError as error:
        assume("could fill the memory" not in str(error))  # an array of nothing
        raise
    value = data.draw(values)
    written = shape.write(value)
    found = shape.read(through_text(written))
    assert found == value
    out = BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(text)), found)
    assert shape.read(AvroReader(text).value(out.getvalue())) == value


def test_singles_are_written_short() -> None:
    """A float of 32 bits is written with as few digits as bring it back."""
    value = struct.unpack("<f", struct.pack("<f", 0.1))[0]
    assert TYPES["float"].write(value) == 0.1
    assert TYPES["float"].read(0.1) == value


def test_the_ends_of_the_calendar() -> None:
    """The first and the last time the store holds come back; a µs beyond is refused both ways."""
    kind = TYPES["timestamp-micros"]
    for at in (FIRST, LAST):
        whole = at.replace(tzinfo=UTC)
        assert kind.read(kind.write(whole)) == whole
    for at in (
        FIRST - timedelta(microseconds=1),
        LAST + timedelta(microseconds=1),
        FIRST.replace(year=1),
        LAST.replace(year=9999),
    ):
        with pytest.raises(Misfit):
            kind.write(at.replace(tzinfo=UTC))
        with pytest.raises(Misfit):
            kind.read(at.isoformat() + "Z")
    for day in (date(1899, 12, 31), date(2300, 1, 1)):
        with pytest.raises(Misfit):
            TYPES["date"].write(day)
    assert TYPES["time-micros"].read("23:59:59.999999") == time.max
