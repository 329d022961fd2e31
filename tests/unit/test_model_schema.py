"""pydantic models as Avro records, and payloads as their instances."""

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Annotated, Any, Literal, NewType, Optional
from uuid import UUID

import fastavro
import pytest
from pydantic import AwareDatetime, Base64Bytes, BaseModel, Field, PositiveInt, RootModel, SecretStr

from schemas.misfit import Misfit
from schemas.model_payload import instance_of, payload_of
from schemas.model_schema import UnfitModel, schema_text

pytestmark = pytest.mark.unit

Cents = NewType("Cents", int)


class Status(StrEnum):
    """A state."""

    PAID = "paid"
    OPEN = "open"


class Address(BaseModel):
    """Nested."""

    city: str
    zip: str | None = None


class OrderPaid(BaseModel):
    """Every type there is."""

    order: UUID
    amount: Decimal = Field(max_digits=12, decimal_places=2)
    cents: Cents
    count: PositiveInt
    ratio: float
    gift: bool
    raw: bytes
    at: datetime
    seen: AwareDatetime | None = None
    day: date
    clock: time
    status: Status
    channel: Literal["web", "shop"] = "web"
    note: Optional[str] = None  # noqa: UP045 - people write it so
    tags: list[str] = []
    prices: list[Annotated[Decimal, Field(max_digits=5, decimal_places=1)]] = Field(default_factory=list)
    labels: dict[str, int] = Field(default_factory=dict)
    billing: Address
    others: list[Address] = []
    kind: str = Field("order", alias="type")
    fee: Decimal = Field(Decimal("1.5"), max_digits=6, decimal_places=3)
    since: datetime = datetime(2020, 1, 1, tzinfo=UTC)
    start: date = date(2020, 1, 2)
    opening: time = time(8, 30)
    key: bytes = b"\xff\x00"
    parent: UUID = UUID(int=7)
    level: Status = Status.OPEN
    limit: int | None = 10


def an_order(**more: Any) -> OrderPaid:
    """One instance."""
    return OrderPaid(
        **{
            "order": UUID(int=1),
            "amount": Decimal("1234567890.10"),
            "cents": 2**60,
            "count": 3,
            "ratio": 0.1,
            "gift": True,
            "raw": b"\x00\x01",
            "at": datetime(2026, 1, 31, 12, 0, 0, 1, tzinfo=UTC),
            "day": date(2026, 1, 31),
            "clock": time(1, 2, 3, 4),
            "status": "paid",
            "billing": {"city": "Basel"},
            **more,
        }
    )


def test_a_model_is_an_avro_record() -> None:
    """Each Python type has its Avro type; defaults are Avro's own."""
    schema = json.loads(schema_text(OrderPaid))
    fastavro.parse_schema(schema)
    fields = {one["name"]: one for one in schema["fields"]}
    assert (schema["type"], schema["name"]) == ("record", "OrderPaid")
    assert fields["amount"]["type"] == {
        "type": "bytes",
        "logicalType": "decimal",
        "precision": 12,
        "scale": 2,
    }
    assert fields["cents"]["type"] == "long"
    assert fields["at"]["type"] == {"type": "long", "logicalType": "timestamp-micros"}
    assert fields["seen"] == {
        "name": "seen",
        "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}],
        "default": None,
    }
    assert fields["status"]["type"] == {"type": "enum", "name": "Status", "symbols": ["paid", "open"]}
    assert fields["level"] == {"name": "level", "type": "Status", "default": "open"}
    assert fields["channel"]["type"]["symbols"] == ["web", "shop"]
    assert fields["billing"]["type"]["name"] == "Address"
    assert fields["others"]["type"] == {"type": "array", "items": "Address"}
    assert fields["type"]["default"] == "order"
    assert fields["fee"]["default"] == "\x05\xdc"
    assert fields["since"]["default"] == 1_577_836_800_000_000
    assert fields["limit"] == {"name": "limit", "type": ["long", "null"], "default": 10}
    assert "default" not in fields["order"]


def test_an_instance_goes_to_json_and_back() -> None:
    """payload_of and instance_of are each other's inverse, with every type and every default."""
    for order in (
        an_order(),
        an_order(seen=datetime(2026, 5, 1, tzinfo=UTC), note="é", tags=["a"], prices=["1.5"], limit=None),
        an_order(labels={"a b": -5}, others=[{"city": "Bern", "zip": "3000"}], type="gift"),
    ):
        payload = json.loads(json.dumps(payload_of(order)))
        assert instance_of(OrderPaid, payload) == order
    payload = payload_of(an_order())
    assert payload["amount"] == "1234567890.10"
    assert payload["raw"] == "AAE="
    assert payload["at"] == "2026-01-31T12:00:00.000001Z"
    assert (payload["clock"], payload["type"], payload["cents"]) == ("01:02:03.000004", "order", 2**60)


def test_defaults_are_filled_in_and_new_fields_left_out() -> None:
    """A payload without the optional fields gives the model's defaults; unknown fields are no harm."""
    payload = payload_of(an_order())
    needed = {name for name, one in OrderPaid.model_fields.items() if one.is_required()}
    short = {name: value for name, value in payload.items() if name in needed}
    assert instance_of(OrderPaid, {**short, "newer": 1}) == an_order()


def test_a_payload_that_is_none() -> None:
    """A wrong type and a refusing validator both name the field."""
    payload = payload_of(an_order())
    with pytest.raises(Misfit) as wrong:
        instance_of(OrderPaid, {**payload, "billing": {"city": 5}})
    assert wrong.value.path == "billing.city"
    with pytest.raises(Misfit) as invalid:
        instance_of(OrderPaid, {**payload, "count": 0})
    assert (invalid.value.path, "greater than 0" in invalid.value.reason) == ("count", True)


def test_what_json_cannot_say_is_refused_when_written() -> None:
    """A naive time, a number beyond 64 bits and a decimal with too many digits are not written."""
    for field, value in (
        ("at", datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)),
        ("cents", 2**63),
        ("ratio", float("nan")),
    ):
        with pytest.raises(Misfit) as caught:
            payload_of(an_order(**{field: value}))
        assert caught.value.path == field


class Colour(Enum):
    """Numbers."""

    RED = 1


class Root(RootModel[list[int]]):
    """A list."""


class Tree(BaseModel):
    """Holds itself."""

    parts: "list[Tree]" = []


REFUSED: list[tuple[Any, Any, str]] = [
    (Any, ..., "Paid.x: Any has no place in a schema; use str, int"),
    (object, ..., "Paid.x: object"),
    (complex, ..., "Paid.x: complex"),
    (SecretStr, ..., "Paid.x: SecretStr"),
    (tuple[int, int], ..., "Paid.x: tuple[int, int]"),
    (set[str], ..., "Paid.x: set[str]"),
    (list, ..., "Paid.x: list"),
    (dict[int, str], ..., "Paid.x: dict[int, str]"),
    (int | str, ..., "Paid.x: is a union of several types"),
    (list[dict[str, complex]], ..., "Paid.x[]{}: complex"),
    (Decimal, ..., "Paid.x: a Decimal needs its digits"),
    (Decimal, Field(max_digits=5), "Paid.x: a Decimal needs its digits"),
    (Decimal, Field(max_digits=80, decimal_places=2), "1 to 76 digits"),
    (Decimal, Field(Decimal("1.234"), max_digits=6, decimal_places=2), "Paid.x: its default does not fit"),
    (Colour, ..., "Paid.x: 1 cannot be a symbol"),
    (Literal["in transit"], ..., "Paid.x: 'in transit' cannot be a symbol"),
    (Literal[1, 2], ..., "Paid.x: 1 cannot be a symbol"),
    (Root, ..., "Paid.x: a RootModel has no fields"),
    (Tree, ..., "Tree holds itself"),
    (Base64Bytes, ..., "Paid.x: encodes by itself"),
    (str, Field(alias="order-id"), "Paid.order-id: a field's name has letters"),
    (str, Field(validation_alias="a", serialization_alias="b"), "several aliases"),
    (str, Field(exclude=True), "excluded"),
    (datetime, Field(default_factory=lambda: datetime.now(UTC)), "only list and dict may make a default"),
    (int, None, "Paid.x: its default is None; make its type Optional"),
    (Address, Address(city="x"), "a model cannot be a default"),
    (datetime, datetime(2020, 1, 1, tzinfo=UTC).replace(tzinfo=None), "it has no time zone"),
    (int, 2**63, "field x has a default that does not fit"),
]


@pytest.mark.parametrize(("hint", "default", "reason"), REFUSED)
def test_what_has_no_schema_is_said_by_field(hint: Any, default: Any, reason: str) -> None:
    """An annotation without an Avro type is refused with its field and what to do."""
    body = {"__annotations__": {"x": hint}, "__module__": __name__}
    model = type("Paid", (BaseModel,), body if default is ... else {**body, "x": default})
    with pytest.raises(UnfitModel) as caught:
        schema_text(model)
    assert reason in str(caught.value)
