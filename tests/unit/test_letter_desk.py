"""Dead letters of the door: read again by the gateway's own code, and every action an event."""

import base64
import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from schemas.event import Event
from streams.clock import SystemClock
from streams.errors import BadInput, Poison, Transport
from streams.gateway.letter_desk import EDIT_BYTES_MAX, Letter, LetterDesk, NoSuchLetter
from streams.gateway.ports import Row
from streams.inbound import Delivery, HookSource, Keys, Outcome, Taken, Unauthenticated
from streams.source_settings import FolderSource
from streams.wiring.internal_routes import InternalRoutes
from tests.gateway_case import GatewayCase

pytestmark = pytest.mark.unit
ID = "11111111-2222-8333-8444-555555555555"
WHEN = "2026-11-22T14:00:00+00:00"


class Orders:
    """A source whose deliveries are `{"order": N}`; it believes nobody, so only what was believed is read."""

    credential = True

    def receive(self, delivery: Delivery, keys: Keys) -> Outcome:
        """Believe nobody."""
        raise Unauthenticated("nobody is believed")

    def read_again(self, delivery: Delivery) -> Outcome:
        """Read an order; the header says which kind."""
        from datetime import datetime

        try:
            orders = json.loads(delivery.body)["orders"]
        except (ValueError, KeyError):
            raise Poison("no orders", reason="unknown_format") from None
        name = delivery.headers.one("x-kind") or "order"
        events = [
            Event(
                id="", event=f"{name}.paid", resource_id=f"order.{n}", occurred=datetime.fromisoformat(WHEN)
            )
            for n in orders
            if n > 0
        ]
        return Taken(events=events, unusable=[f"order {n}" for n in orders if n <= 0])


def letter(**changes: Any) -> Letter:
    """A dead letter of the shop."""
    whole = Letter(
        id=ID,
        stage="door",
        reason="malformed_json",
        source="shop",
        raw=b'{"orders": [1]',
        headers={"x-kind": "sale"},
        at_s=1.0,
    )
    return replace(whole, **changes)


class Desk:
    """A desk over letters in memory and a gateway in memory."""

    def __init__(self, kept: Letter | None, hooks: dict[str, HookSource] | None = None) -> None:
        self.kept = kept
        self.case = GatewayCase()
        self.hooks = {"shop": Orders()} if hooks is None else hooks
        self.desk = LetterDesk(self, self.hooks, self.case.served.intake, SystemClock())

    async def find(self, letter_id: str) -> Letter | None:
        """The one letter."""
        return self.kept if self.kept and letter_id == self.kept.id else None

    async def original(self, topic: str, partition: int, offset: int) -> Row:
        """The record that lay there."""
        assert (topic, partition, offset) == ("ensue.events", 3, 7)
        return 3, b"key", b"value"

    def written(self) -> list[tuple[str, str]]:
        """(event, resource id) in order."""
        return [(event.event, event.resource_id) for event in self.case.log.events()]


AUDIT = f"ensue://dead-letter/{ID}"


async def test_a_letter_that_is_mended_is_read_again_without_its_signature() -> None:
    """Edited bytes count, kept headers too; the event and then the audit event are written."""
    desk = Desk(letter(edited=b'{"orders": [1]}'))
    told = await desk.desk.retry(ID, by="ann")
    assert desk.written() == [("sale.paid", "order.1"), ("ensue.audit.dead_letter.retried", AUDIT)]
    audit = desk.case.log.events()[-1]
    payload = json.loads(audit.payload)
    assert (payload["by"], payload["outcome"], payload["edited"]) == ("ann", "taken", True)
    assert payload["events"] == told["events"]
    assert json.loads(audit.resource)["source"] == "shop"


async def test_a_second_retry_gives_the_same_ids() -> None:
    """What has no identity gets one from its letter, so a retry sent twice is one row."""
    desk = Desk(letter(raw=b'{"orders": [1, 2]}'))
    first = await desk.desk.retry(ID, by="ann")
    second = await desk.desk.retry(ID, by="ann")
    assert first["events"] == second["events"]
    assert len(set(first["events"])) == 2


async def test_a_letter_that_is_still_unusable_stays_open() -> None:
    """The attempt is an event that says so; no second letter is made."""
    desk = Desk(letter())
    told = await desk.desk.retry(ID, by="ann")
    assert (told["outcome"], told["problems"]) == ("unusable", ["no orders"])
    assert desk.written() == [("ensue.audit.dead_letter.retried", AUDIT)]
    assert desk.case.log.dead_letters() == []
    partly = Desk(letter(raw=b'{"orders": [1, 0]}'))
    assert (await partly.desk.retry(ID, by="ann"))["outcome"] == "partly"


async def test_an_event_whose_payload_did_not_fit_is_posted_again() -> None:
    """What a folder or a topic made is kept as it would be posted, and needs no source to be read."""
    item = {
        "id": ID,
        "event": "order.paid",
        "resource": {"resource.id": "order.1"},
        "payload": {"amount": 1},
        "occurred": WHEN,
    }
    kept = letter(source="gone", reason="wrong_payload", raw=json.dumps(item).encode())
    desk = Desk(kept)
    assert (await desk.desk.retry(ID, by="ann"))["events"] == [ID]
    (event, _) = desk.case.log.events()
    assert (event.source, event.resource_id, event.payload) == ("gone", "order.1", '{"amount":1}')
    broken = Desk(replace(kept, edited=b'{"id": 1}'))
    assert (await broken.desk.retry(ID, by="ann"))["outcome"] == "unusable"


async def test_edit_and_drop_are_events_and_change_nothing() -> None:
    """The new body travels in the event; the letter keeps its bytes."""
    desk = Desk(letter())
    await desk.desk.edit(ID, b"\xff", by="ann")
    await desk.desk.drop(ID, by="bob")
    assert [event for event, _ in desk.written()] == [
        "ensue.audit.dead_letter.edited",
        "ensue.audit.dead_letter.dropped",
    ]
    assert json.loads(desk.case.log.events()[0].payload) == {"by": "ann", "body_b64": "/w=="}


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (letter(source="gone"), "no source at /hooks now"),
        (letter(reason="undecodable_name"), "rename the file"),
        (letter(reason="too_large"), "raise limits.event_bytes"),
        (
            letter(stage="evaluate", reason="undecidable", from_topic="t", from_partition=0, from_offset=1),
            "place",
        ),
        (
            letter(stage="run", reason="invalid", from_topic="t", from_partition=0, from_offset=1),
            "runs retry",
        ),
        (letter(stage="sink", reason="refused_by_store"), "does not say where it lay"),
        (None, "there is no dead letter"),
    ],
)
async def test_what_cannot_be_retried_says_why(kept: Letter | None, said: str) -> None:
    """A second try that could only fail or lie is refused, and nothing is written."""
    desk = Desk(kept)
    with pytest.raises(BadInput, match=said):
        await desk.desk.retry(ID, by="ann")
    assert desk.case.log.rows == []


async def test_what_the_store_refused_is_written_again_where_it_lay() -> None:
    """The record with its key goes into its partition once more."""
    place = {"from_topic": "ensue.events", "from_partition": 3, "from_offset": 7}
    desk = Desk(letter(stage="sink", reason="refused_by_store", source="ensue.events", **place))
    assert (await desk.desk.retry(ID, by="ann"))["republished_to"] == "ensue.events"
    assert desk.case.log.rows[0] == ("ensue.events", (3, b"key", b"value"))


async def test_nothing_counts_as_done_before_the_acknowledgement() -> None:
    """When Kafka does not answer, the person hears it."""
    desk = Desk(letter(raw=b'{"orders": [1]}'))
    desk.case.log.error = Transport("away")
    with pytest.raises(Transport):
        await desk.desk.retry(ID, by="ann")
    with pytest.raises(BadInput, match="are the most"):
        await desk.desk.edit(ID, b"x" * (EDIT_BYTES_MAX + 1), by="ann")
    with pytest.raises(BadInput, match="only the door's"):
        await Desk(letter(stage="sink")).desk.edit(ID, b"x", by="ann")
    with pytest.raises(NoSuchLetter):
        await Desk(None).desk.drop(ID, by="ann")


class Called:
    """The internal routes without a socket."""

    def __init__(self, kept: Letter | None = None) -> None:
        self.desk = Desk(kept)
        folder = FolderSource(kind="folder", path=".")  # type: ignore[arg-type]
        routes = InternalRoutes("hidden", self.desk, self.desk.hooks, lambda: {"inbox": folder})
        routes.begin(self.desk.case.served.intake)
        self._transport = httpx.ASGITransport(app=Starlette(routes=list(routes.routes())))

    async def __call__(
        self, path: str, body: object = None, secret: str = "hidden", method: str = "POST"
    ) -> httpx.Response:
        """Ask."""
        async with httpx.AsyncClient(transport=self._transport, base_url="http://127.0.0.1") as client:
            headers = {"authorization": f"Bearer {secret}"}
            return await client.request(method, f"/internal/{path}", json=body, headers=headers)


async def test_only_the_owner_of_the_data_folder_is_served() -> None:
    """Without the folder's secret nothing is told and nothing done."""
    call = Called(letter())
    for secret in ("", "hiddem", "hidden ä"):
        assert (
            await call(f"dead-letters/{ID}/drop", {"by": "x"}, secret="wrong" + secret[:1])
        ).status_code == 401
    assert (await call("sources", method="GET", secret="x")).status_code == 401
    assert call.desk.case.log.rows == []
    assert (await call("sources", method="GET")).json() == {"sources": {"inbox": "folder"}}


async def test_actions_over_http_have_their_status() -> None:
    """Done is 200, unknown 404, refused 422, away 503; never a 500."""
    call = Called(letter())
    assert (await call(f"dead-letters/{ID}/drop", {"by": "x"})).status_code == 200
    assert (await call(f"dead-letters/{ID[:-1]}6/drop", {"by": "x"})).status_code == 404
    body = base64.b64encode(b"{}").decode()
    assert (await call(f"dead-letters/{ID}/edit", {"by": "x", "body_b64": body})).status_code == 200
    for action, document in (
        ("edit", {"by": "x", "body_b64": "%"}),
        ("edit", {"by": "x"}),
        ("burn", {"by": "x"}),
        ("drop", {}),
        ("drop", []),
    ):
        assert (await call(f"dead-letters/{ID}/{action}", document)).status_code == 422
    call.desk.case.log.error = Transport("away")
    assert (await call(f"dead-letters/{ID}/drop", {"by": "x"})).status_code == 503


async def test_backfilled_events_carry_their_source() -> None:
    """Storage events alone, of a source that is configured."""
    call = Called()
    item = {
        "id": ID,
        "event": "storage.object.created",
        "resource": {"resource.id": "s3://b/k"},
        "occurred": WHEN,
    }
    assert (await call("sources/inbox/events", {"events": [item]})).json() == {"ids": [ID]}
    (event,) = call.desk.case.log.events()
    assert (event.source, event.resource_id) == ("inbox", "s3://b/k")
    for name, items in (
        ("other", [item]),
        ("inbox", []),
        ("inbox", [{**item, "event": "ensue.x"}]),
        ("inbox", [{}]),
        ("inbox", [{**item, "occurred": "2026-11-22"}]),
    ):
        assert (await call(f"sources/{name}/events", {"events": items})).status_code == 422
