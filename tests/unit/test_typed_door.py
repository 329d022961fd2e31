"""A schema of an event's name at the door: posts are refused, hooks' events become dead letters."""

import json
from typing import Any

import pytest

from schemas.event import Event
from schemas.event_type import EventTypes, event_type
from streams.inbound import Delivery, Keys, Outcome, Taken
from streams.sources.cloudevents.body import CloudEventsBody
from tests.gateway_case import GatewayCase

pytestmark = pytest.mark.unit

SCHEMA = {
    "type": "record",
    "name": "OrderPaid",
    "fields": [
        {"name": "order", "type": "long"},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "lines", "type": {"type": "array", "items": "long"}, "default": []},
    ],
}


def typed() -> EventTypes:
    """`order.paid` has a schema."""
    return EventTypes(by_name={"order.paid": event_type("order.paid", {1: (7, json.dumps(SCHEMA))})})


def posted(payload: Any, name: str = "order.paid") -> dict[str, Any]:
    """An item of POST /events."""
    return {"event": name, "resource": {"resource.id": "o"}, "payload": payload}


async def test_a_payload_that_fits_is_taken_as_it_was_sent() -> None:
    """A typed event is stored with the payload's JSON unchanged, long numbers exact."""
    case = GatewayCase(types=typed())
    answer = await case.post(
        b'{"event":"order.paid","resource":{"resource.id":"o"},"payload":'
        b'{"order":9223372036854775807,"amount":"1234567.89"}}'
    )
    assert answer.status_code == 202
    assert json.loads(case.log.events()[0].payload) == {"order": 2**63 - 1, "amount": "1234567.89"}


async def test_a_payload_that_does_not_fit_is_422_with_index_and_field() -> None:
    """One misfit refuses the whole body and is named by index, field and reason; untyped names are free."""
    case = GatewayCase(types=typed())
    good = posted({"order": 1, "amount": "1.00"})
    bad = posted({"order": 1, "amount": "1.00", "lines": [1, 2, "x"]})
    answer = await case.post(json.dumps([good, posted({"any": 1}, "order.seen"), bad]).encode())
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["index"], error["field"]) == (2, "payload.lines[2]")
    assert error["reason"] == "must be a whole number, not the text 'x' (schema of order.paid, version 1)"
    assert case.log.rows == []
    for payload, field in ((None, "payload.order"), ({}, "payload.order"), ([], "payload"), (5, "payload")):
        answer = await case.post(json.dumps(posted(payload)).encode())
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_a_new_schema_counts_at_once() -> None:
    """Whoever follows the registry replaces what is known; the next post is judged by it."""
    types = EventTypes()
    case = GatewayCase(types=types)
    body = json.dumps(posted({"order": "no number"})).encode()
    assert (await case.post(body)).status_code == 202
    types.by_name = typed().by_name
    assert (await case.post(body)).status_code == 422
    types.by_name = {}
    assert (await case.post(body)).status_code == 202


class Hook:
    """A source whose deliveries are the payloads of two events."""

    credential = True

    def receive(self, delivery: Delivery, keys: Keys) -> Outcome:
        """Return an event for each payload."""
        from datetime import UTC, datetime

        payloads = json.loads(delivery.body)
        return Taken(
            events=[
                Event(
                    id="",
                    event="order.paid",
                    resource_id="o",
                    resource={"resource.id": "o"},
                    occurred=datetime.now(UTC),
                    payload=payload,
                    source="shop",
                )
                for payload in payloads
            ]
        )


async def test_a_misfit_of_a_hook_is_a_dead_letter() -> None:
    """What fits is taken; the delivery's raw bytes are kept with the reason wrong_payload, answered 202."""
    case = GatewayCase(types=typed(), hooks={"shop": Hook()})  # type: ignore[dict-item]
    body = json.dumps([{"order": 1, "amount": "2.50"}, {"order": 1, "amount": 2.5}]).encode()
    answer = await case.request("POST", "/hooks/shop", body, {"content-type": "application/json"})
    assert answer.status_code == 202
    (letter,) = case.log.dead_letters()
    assert (letter.reason, letter.raw, letter.source) == ("wrong_payload", body, "shop")
    assert "payload.amount: must be a decimal as text" in letter.error
    assert [event.event for event in case.log.events()] == ["order.paid"]
    assert len(answer.json()["ids"]) == 1


async def test_a_misfit_of_a_watching_source_is_a_dead_letter() -> None:
    """A source that publishes by itself loses nothing: the event is kept as it can be posted."""
    case = GatewayCase(types=typed())
    (event,) = Hook().receive(Delivery(body=b'[{"order": "x"}]'), None).events  # type: ignore[arg-type,union-attr]
    await case.served.intake.publish([event])
    (letter,) = case.log.dead_letters()
    assert (letter.reason, json.loads(letter.raw)["payload"]) == ("wrong_payload", {"order": "x"})
    assert case.log.events() == []


def cloud(data: Any) -> bytes:
    """A structured CloudEvent of the typed name."""
    event = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.paid", "data": data}
    return json.dumps(event).encode()


async def test_a_cloud_events_data_is_what_the_schema_speaks_of() -> None:
    """A CloudEvent of a typed name is judged by its data, kept whole; a misfit is named inside the data."""
    case = GatewayCase(types=typed(), form=CloudEventsBody())
    kind = "application/cloudevents+json"
    answer = await case.post(cloud({"order": 7, "amount": "2.50"}), kind)
    assert answer.status_code == 202, answer.text
    payload = json.loads(case.log.events()[0].payload)
    assert payload["data"] == {"order": 7, "amount": "2.50"}
    assert payload["cloudevents"]["source"] == "/shop"
    for data, field in (({"order": "x", "amount": "1"}, "payload.data.order"), (None, "payload.data")):
        answer = await case.post(cloud(data), kind)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    # The same fields in a plain event are its payload, whatever they are called.
    answer = await case.post(json.dumps(posted({"cloudevents": {}, "order": 1, "amount": "1"})).encode())
    assert answer.json()["errors"][0]["field"] == "payload.cloudevents"
