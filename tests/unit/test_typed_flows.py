"""Flows whose events carry a pydantic model: in direct calls, in the harness, at deployment."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from flows import Event, emit, emit_event, event_trigger, flow
from flows.errors import InvalidDefinition
from flows.loader import collect, load
from flows.testing import Harness, make_event
from schemas.event_record import to_event, to_record
from schemas.event_type import event_type
from schemas.model_schema import schema_text
from schemas.record import RunRequest
from streams.errors import BadInput
from streams.runs.emitted import emitted
from streams.wiring.prepare import definitions_of

pytestmark = pytest.mark.unit


class OrderPaid(BaseModel):
    """What the event says."""

    order: str
    amount: Decimal = Field(max_digits=10, decimal_places=2)


class Other(BaseModel):
    """Something else."""

    x: int


seen: list[Any] = []


@flow(on=event_trigger("order.paid"))
def ship(event: Event[OrderPaid]) -> str:
    """Return what an instance alone can say."""
    seen.append(event.payload)
    return f"{event.payload.order}: {event.payload.amount * 2}"


PAID = {"order": "A-1", "amount": "12.50"}


def paid(payload: Any = None) -> Event:
    """An order.paid event."""
    return make_event("order.paid", {"resource.id": "order-1"}, payload=PAID if payload is None else payload)


def test_a_direct_call_in_plain_python() -> None:
    """A plain payload becomes an instance, an instance stays the one it was; by position and by name."""
    assert ship(paid()) == "A-1: 25.00"  # type: ignore[arg-type]
    mine = OrderPaid(order="B", amount=Decimal(1))
    whole = Event[OrderPaid](
        id="01890a5d-ac96-774b-bcce-b302099a8057",
        event="order.paid",
        resource_id="order-1",
        occurred=datetime.now(UTC),
        payload=mine,
    )
    assert ship(event=whole) == "B: 2"
    assert seen[-1] is mine
    with pytest.raises(
        ValueError, match=r"event order.paid .* is no OrderPaid: payload.amount must be a decimal"
    ):
        ship(paid({"order": "A", "amount": 12.5}))  # type: ignore[arg-type]


def test_the_harness_gives_the_instance() -> None:
    """A run gets the instance; a payload that does not fit fails the run with field and reason."""
    harness = Harness(ship)
    (run,) = harness.send(paid(OrderPaid(order="A-1", amount=Decimal("12.5"))))
    assert (run.state, run.result) == ("succeeded", "A-1: 25.00")
    assert isinstance(seen[-1], OrderPaid)
    (failed,) = harness.send(make_event("order.paid", {"resource.id": "o2"}, payload={"order": "A"}))
    assert failed.state == "failed"
    assert "payload.amount is missing" in str(failed.error)


def test_a_cloud_events_data_is_the_instance() -> None:
    """A flow is given the same model whether the event came plainly or as a CloudEvent."""
    resource = {"resource.id": "order-1", "provider": "cloudevents"}
    attributes = {"id": "1", "source": "/shop", "type": "order.paid"}
    whole = make_event("order.paid", resource, payload={"data": PAID, "cloudevents": attributes})
    assert ship(whole) == "A-1: 25.00"
    without = make_event("order.paid", resource, payload={"cloudevents": attributes})
    with pytest.raises(ValueError, match=r"is no OrderPaid: payload\.data must be an object"):
        ship(without)


def test_all_events_of_a_threshold_are_instances() -> None:
    """`list[Event[OrderPaid]]` gets every event of the firing, each with its instance."""

    @flow(on=event_trigger("order.paid", threshold=2))
    def both(events: list[Event[OrderPaid]]) -> str:
        return ",".join(str(event.payload.amount) for event in events)

    harness = Harness(both)
    harness.send(paid())
    (run,) = harness.send(make_event("order.paid", {"resource.id": "o2"}, payload={**PAID, "amount": "1"}))
    assert run.result == "12.50,1"


def test_an_open_payload_stays_as_it_is() -> None:
    """`Event`, `Event[dict]` and an optional event without a model are not converted."""

    @flow(on=event_trigger("order.*"))
    def loose(event: Event[dict[str, Any]], again: Event | None = None) -> Any:
        return event.payload["amount"]

    assert loose(paid()) == "12.50"  # type: ignore[arg-type]
    assert loose.event_schemas() == {}


def test_a_deployment_has_the_schemas_of_its_triggers_names(tmp_path: Path) -> None:
    """Every event name of the triggers gets the model's schema."""
    file = tmp_path / "typed_flows.py"
    file.write_text(
        "from pydantic import BaseModel\n"
        "from flows import Event, event_trigger, flow\n"
        "class Paid(BaseModel):\n    n: int\n"
        "@flow(on=[event_trigger('a.paid', 'b.paid'), event_trigger('c.paid')])\n"
        "def ship(event: Event[Paid]): ...\n"
        "@flow(on=event_trigger('d.*'))\n"
        "def loose(event: Event): ...\n"
    )
    first, second = collect(load(file))
    assert sorted(first.event_schemas) == ["a.paid", "b.paid", "c.paid"]
    assert json.loads(first.event_schemas["a.paid"])["fields"] == [{"name": "n", "type": "long"}]
    assert second.event_schemas == {}
    assert {one.name for one in definitions_of(file)} == {"ship", "ship-2", "loose"}


def test_a_field_without_a_type_is_bad_input_at_deploy(tmp_path: Path) -> None:
    """A file whose model has no schema is refused naming the field."""
    file = tmp_path / "untypable_flows.py"
    file.write_text(
        "from pydantic import BaseModel\n"
        "from flows import Event, event_trigger, flow\n"
        "class Paid(BaseModel):\n    n: complex\n    model_config = {'arbitrary_types_allowed': True}\n"
        "@flow(on=event_trigger('a.paid'))\n"
        "def ship(event: Event[Paid]): ...\n"
    )
    with pytest.raises(BadInput, match=r"event: Paid.n: complex has no place in a schema; use str, int"):
        definitions_of(file)


def refused(hint: Any, *names: str) -> str:
    """Why a flow cannot be as annotated."""

    def one(event: Any) -> None: ...

    one.__annotations__["event"] = hint
    with pytest.raises(InvalidDefinition) as caught:
        flow(on=event_trigger(*names))(one)
    return str(caught.value)


def test_flows_that_cannot_be_typed_are_refused_at_import() -> None:
    """No event name, a pattern, our own names, another type than a model: each is said where it stands."""
    assert "triggers name their events" in refused(Event[OrderPaid])
    assert "'order.*' has '*'" in refused(Event[OrderPaid], "order.*")
    assert "are ours" in refused(Event[OrderPaid], "ensue.run.failed")
    assert "is Event[int]; write Event[Model]" in refused(Event[int], "a")
    assert "one model" in refused(Event[OrderPaid] | Event[Other], "a")
    assert "cannot be looked up" in refused("Event[Nowhere]", "a")


def test_two_arguments_share_one_model() -> None:
    """Two typed arguments with different models are refused."""
    with pytest.raises(InvalidDefinition, match="b: has another model"):

        @flow(on=event_trigger("x"))
        def two(a: Event[OrderPaid], b: Event[Other]) -> None: ...


def test_emitting_an_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    """An instance as payload is emitted as its JSON object; one that JSON cannot say is refused."""
    monkeypatch.delenv(emit.API_URL, raising=False)
    monkeypatch.setattr(emit, "_warned", True)
    made = emit_event("order.paid", {"resource.id": "r"}, payload=OrderPaid(order="A", amount=Decimal(1)))
    assert made.payload == {"order": "A", "amount": "1.00"}
    with pytest.raises(ValueError, match=r"event x: payload.x must fit 64 bits"):
        emit_event("x", {"resource.id": "r"}, payload=Other(x=2**63))


def test_a_typed_event_is_written_as_json() -> None:
    """The record of an event with an instance has its JSON object; reading gives the plain payload."""
    whole = Event[OrderPaid](
        id="01890a5d-ac96-774b-bcce-b302099a8057",
        event="order.paid",
        resource_id="r",
        occurred=datetime.now(UTC),
        payload=OrderPaid(order="A", amount=Decimal("1.5")),
    )
    assert to_event(to_record(whole)).payload == {"order": "A", "amount": "1.50"}
    assert json.loads(schema_text(OrderPaid))["name"] == "OrderPaid"


def test_event_still_loads_no_library() -> None:
    """`from flows import Event` loads neither pydantic nor Avro nor a server's library."""
    heavy = "{'pydantic', 'fastavro', 'httpx'}"
    code = f"import sys; from flows import Event; Event[dict]; print({heavy} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_run_is_held_to_the_schema_of_what_it_emits() -> None:
    """An event of a run is judged as one at the door; names without a schema are free."""
    kinds = {"order.paid": event_type("order.paid", {3: (9, schema_text(OrderPaid))})}
    request = RunRequest(
        id="01890a5d-ac96-774b-bcce-b302099a8057",
        event="f",
        flow="f",
        flow_version="1",
        trigger="t",
        trigger_version="1",
        firing_id=None,
        parameters="{}",
        requested=0,
        event_occurred=0,
        correlation_id="c",
        causation_id=None,
    )
    assert emitted(paid(), request, 1, kinds).event == "order.paid"
    wrong = make_event("order.paid", {"resource.id": "o"}, payload={"order": "A", "amount": 1})
    with pytest.raises(BadInput, match=r"cannot be emitted: payload.amount must be .*schema, version 3"):
        emitted(wrong, request, 1, kinds)
    free = make_event("order.seen", {"resource.id": "o"}, payload={"amount": 1})
    assert emitted(free, request, 1, kinds).event == "order.seen"
