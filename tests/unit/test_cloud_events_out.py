"""`GET /events/{id}`: which form is chosen, and what each says of CloudEvents and of other events."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from schemas.event import Event
from schemas.event_record import to_record
from streams.errors import Overload, Transport
from streams.settings import ClickHouseSettings
from streams.sources.cloudevents.attribute_types import INTEGER_MAX
from streams.sources.cloudevents.cloud_event import CloudEvent
from streams.sources.cloudevents.json_format import from_json, to_json
from streams.sources.cloudevents.mapping import cloud_event_of, event_of
from streams.sources.cloudevents.negotiation import Shape, shape_accepted
from streams.store.queries.reader import StoreReader, plain
from streams.wiring.event_route import event_routes
from tests.gateway_case import GatewayCase

pytestmark = pytest.mark.unit
ID = "01890a5d-ac96-774b-bcce-b302099a8057"
PLAIN = Event(
    id=ID,
    event="storage.object.created",
    resource_id="s3://inbox/a b.csv",
    resource={"resource.id": "s3://inbox/a b.csv", "bucket": "inbox", "key": "a b.csv", "type": "x"},
    related=({"resource.id": "r", "resource.role": "owner"},),
    occurred=datetime(2026, 1, 31, 12, 0, 0, 5, tzinfo=UTC),
    payload={"size": 2**40},
    source="in box",
    causation_id="01890a5d-ac96-774b-bcce-b302099a8058",
    depth=2,
)
BORN: dict[str, Any] = {
    "specversion": "1.0",
    "id": "A 1",
    "source": "/s?x=1",
    "type": "com.example.paid",
    "subject": "order \u20ac",
    "time": "2026-01-31T13:00:00.123456789+01:00",
    "ext": INTEGER_MAX,
    "yes": True,
    "datacontenttype": "application/json; charset=utf-8",
    "data": {"a": [1, None]},
}


class Stored(StoreReader):
    """A store of some events; `error` is raised instead of an answer."""

    def __init__(self, *events: Event, error: Exception | None = None) -> None:
        super().__init__(ClickHouseSettings())
        self.events = {event.id: event for event in events}
        self.error = error

    def rows(self, name: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The row of an event as the query gives it."""
        assert name == "event_by_id"
        if self.error is not None:
            raise self.error
        event = self.events.get(values["id"])
        if event is None:
            return []
        record = to_record(event)
        columns = {field: getattr(record, field) for field in record.__dataclass_fields__}
        columns["resource_text"] = columns.pop("resource")
        times = {"occurred": plain(event.occurred), "received": plain(event.received or event.occurred)}
        return [{**columns, **times}]


def born(**changes: Any) -> Event:
    """An event that came as a CloudEvent."""
    return event_of(from_json({**BORN, **changes}), at_s=5.0, source="")


async def get(store: StoreReader, path: str, **headers: str) -> httpx.Response:
    """Ask the route."""
    app = Starlette(routes=list(event_routes(store)))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.get(path, headers=headers)


@pytest.mark.parametrize(
    ("accept", "shape"),
    [
        (None, Shape.JSON),
        ("", Shape.JSON),
        ("*/*", Shape.JSON),
        ("application/*", Shape.JSON),
        ("application/json", Shape.JSON),
        ("application/cloudevents+json", Shape.STRUCTURED),
        ("Application/CloudEvents+JSON; charset=utf-8", Shape.STRUCTURED),
        ("application/cloudevents-batch+json", Shape.BATCHED),
        ("application/cloudevents", Shape.BINARY),
        ("application/json;q=0.5, application/cloudevents+json", Shape.STRUCTURED),
        ("application/json;q=0.5, application/cloudevents+json;q=0.4", Shape.JSON),
        ("*/*;q=0.1, application/cloudevents;q=0.2", Shape.BINARY),
        ("text/html, */*;q=0.8", Shape.JSON),
        ("application/json;q=0, */*", Shape.STRUCTURED),
        ("application/*;q=0, */*", None),
        ("text/html", None),
        ("application/cloudevents+avro", None),
        ("application/json;q=0", None),
        ("nonsense", None),
        (",;q=1,/", None),
    ],
)
def test_accept_chooses_the_form(accept: str | None, shape: Shape | None) -> None:
    """RFC 9110: the greatest quality wins, the most specific range decides, ours first among equals."""
    assert shape_accepted(accept) is shape


async def test_unasked_an_event_is_shown_as_it_is_posted() -> None:
    """application/json is what POST /events takes, and taking it is the same event."""
    answer = await get(Stored(PLAIN), f"/events/{ID.upper()}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["vary"] == "Accept"
    assert answer.json()["occurred"] == "2026-01-31T12:00:00.000005Z"
    gateway = GatewayCase()
    assert (await gateway.post(answer.content)).json() == {"ids": [ID]}
    (record,) = gateway.log.events()
    again = {**answer.json(), "received": record.received}
    assert (record.resource_id, json.loads(record.payload)) == (PLAIN.resource_id, again["payload"])
    assert (record.depth, record.causation_id) == (2, PLAIN.causation_id)


async def test_a_cloud_event_comes_out_as_it_came_in() -> None:
    """Structured and batched: every attribute with its type and text, the data, nothing else."""
    event = born()
    for mode in ("", "?mode=structured"):
        headers = {} if mode else {"accept": "application/cloudevents+json"}
        answer = await get(Stored(event), f"/events/{event.id}{mode}", **headers)
        assert answer.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
        assert answer.json() == BORN
    answer = await get(Stored(event), f"/events/{event.id}", accept="application/cloudevents-batch+json")
    assert answer.json() == [BORN]


async def test_binary_mode_has_the_attributes_as_headers() -> None:
    """Http 3.1: percent-encoded attributes, the data's own Content-Type, its bytes as the body."""
    event = born()
    answer = await get(Stored(event), f"/events/{event.id}", accept="application/cloudevents")
    assert answer.headers["content-type"] == BORN["datacontenttype"]
    assert json.loads(answer.content) == BORN["data"]
    found = {name: value for name, value in answer.headers.items() if name.startswith("ce-")}
    assert found == {
        "ce-specversion": "1.0",
        "ce-id": "A%201",
        "ce-source": "/s?x=1",
        "ce-type": "com.example.paid",
        "ce-subject": "order%20%E2%82%AC",
        "ce-time": BORN["time"],
        "ce-ext": "2147483647",
        "ce-yes": "true",
    }


async def test_binary_mode_says_the_implied_type_and_no_other() -> None:
    """Json 3.1.2: JSON without a type becomes application/json; bytes without a type stay without one."""
    for changes, kind, body in (
        ({"data": "a"}, "application/json", b'"a"'),
        ({"data": None}, "application/json", b"null"),
        ({"data_base64": "e30="}, None, b"{}"),
        ({}, None, b""),
    ):
        document = {k: v for k, v in BORN.items() if k not in {"datacontenttype", "data"}}
        event = event_of(from_json({**document, **changes}), at_s=5.0, source="")
        answer = await get(Stored(event), f"/events/{event.id}?mode=binary")
        assert (answer.headers.get("content-type"), answer.content) == (kind, body)


async def test_what_has_no_binary_mode_says_so() -> None:
    """406: a text in a charset not known here, attributes too long for the head of an answer."""
    for changes in (
        {"datacontenttype": "text/plain; charset=shift_jis", "data": "a"},
        {"datacontenttype": "text/plain; charset=us-ascii", "data": "\u20ac"},
        {"ext": "\u20ac" * 9000},
    ):
        event = born(**changes)
        answer = await get(Stored(event), f"/events/{event.id}?mode=binary")
        assert (answer.status_code, answer.json()["status"]) == (406, 406)
        assert "application/cloudevents+json" in answer.json()["detail"]
        assert (await get(Stored(event), f"/events/{event.id}?mode=structured")).status_code == 200


def test_an_event_that_was_none_becomes_one() -> None:
    """Type, subject, time, payload; labels whose names allow it and the chain are extensions."""
    assert to_json(cloud_event_of(PLAIN)) == {
        "specversion": "1.0",
        "id": ID,
        "source": "ensue/in%20box",
        "type": "storage.object.created",
        "subject": "s3://inbox/a b.csv",
        "time": "2026-01-31T12:00:00.000005Z",
        "datacontenttype": "application/json",
        "bucket": "inbox",
        "key": "a b.csv",
        "correlationid": ID,
        "causationid": PLAIN.causation_id,
        "data": {"size": 2**40},
    }
    odd = Event(id=ID, event="a", resource_id="a\n\ud800", resource={"x": "\0"}, occurred=PLAIN.occurred)
    found = to_json(cloud_event_of(odd))
    assert (found["source"], found["subject"], found["x"]) == ("ensue", "a\ufffd\ufffd", "\ufffd")


@pytest.mark.parametrize(
    "payload",
    [
        {"cloudevents": {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}, "data": {}},
        {"cloudevents": {"specversion": "9", "id": "1"}},
        {"cloudevents": "x"},
        {"cloudevents": {"": None}},
    ],
)
def test_a_payload_that_only_looks_like_one_is_data(payload: dict[str, Any]) -> None:
    """Who posts such a payload as plain JSON gets it back as data: its id is not the CloudEvent's."""
    found: CloudEvent = cloud_event_of(
        Event(id=ID, event="a", resource_id="r", occurred=PLAIN.occurred, payload=payload)
    )
    assert (found.text("id"), found.data) == (ID, payload)


async def test_what_cannot_be_shown_is_problem_json() -> None:
    """400 for what is no id or no mode, 404 with a hint, 406 for another form, 429 and 503 for the store."""
    store = Stored(PLAIN)
    for path, accept, status in (
        ("/events/abc", "*/*", 400),
        ("/events/" + "x" * 36, "*/*", 400),
        (f"/events/{ID}?mode=avro", "*/*", 400),
        (f"/events/{ID}?mode=json&mode=json", "*/*", 400),
        (f"/events/{ID[:-1]}9", "*/*", 404),
        (f"/events/{ID}", "text/html", 406),
    ):
        answer = await get(store, path, accept=accept)
        assert (answer.status_code, answer.json()["status"]) == (status, status)
        assert answer.headers["content-type"] == "application/problem+json"
    assert "may not be in yet" in (await get(store, f"/events/{ID[:-1]}9")).json()["detail"]
    for error, status in ((Overload("busy", retry_after_s=2), 429), (Transport("away"), 503)):
        answer = await get(Stored(error=error), f"/events/{ID}")
        assert (answer.status_code, answer.headers["retry-after"]) == (status, "2" if status == 429 else "1")
