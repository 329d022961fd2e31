"""WS /api/events/out: filter, stored events, then live ones; each once. And Prefect's plain HTTP."""

import asyncio
import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from schemas.record import EventRecord
from streams.errors import Overload, Transport
from streams.gateway.live.event import LiveEvent
from streams.gateway.live.position import Positions
from streams.gateway.prefect import events_out, handshake
from streams.gateway.prefect.stored import Page
from tests.live_case import CODEC, EVENTS, PARTITIONS, LiveCase, closed, ids, prefect_event, put

pytestmark = pytest.mark.unit
OUT = "/api/events/out"
SINCE = {"since": "2026-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}


class StoredInMemory:
    """A store behind its log: it has everything below `up_to`, and shows some beyond it already."""

    def __init__(self) -> None:
        self.case: LiveCase | None = None
        self.behind = 0
        self.pages: list[Page] = []
        self.failure: Exception | None = None

    def stored_up_to(self) -> Positions:
        """Say how far."""
        if self.failure is not None:
            raise self.failure
        assert self.case is not None
        log = self.case.log
        return tuple(max(0, len(log.records(EVENTS, p)) - self.behind) for p in range(PARTITIONS))

    def page(self, wanted: Page) -> Sequence[LiveEvent]:
        """One row per identity, by time and id."""
        assert self.case is not None
        self.pages.append(wanted)
        first: dict[str, LiveEvent] = {}
        for partition in range(PARTITIONS):
            for at, record in enumerate(self.case.log.records(EVENTS, partition)):
                event = CODEC.decode(record.value or b"", EventRecord)
                first.setdefault(event.id, LiveEvent(event, partition=partition, offset=at, size_bytes=1))
        found = [
            event
            for event in first.values()
            if event.offset < wanted.below[event.partition]
            and wanted.since_us <= event.record.occurred <= wanted.until_us
            and (event.record.occurred, event.record.id) > wanted.after
        ]
        return sorted(found, key=lambda one: (one.record.occurred, one.record.id))[: wanted.limit]


def with_store(**options: Any) -> tuple[LiveCase, StoredInMemory]:
    """A gateway with a store."""
    stored = StoredInMemory()
    case = LiveCase(stored=stored, **options)
    stored.case = case
    return case, stored


async def subscribe(socket: ClientConnection, wanted: Any = None, **more: Any) -> None:
    """Send the filter."""
    await socket.send(json.dumps({"type": "filter", "filter": wanted or {}, **more}))


async def take(socket: ClientConnection, count: int) -> list[dict[str, Any]]:
    """Receive so many events."""
    found = []
    for _ in range(count):
        message = json.loads(await asyncio.wait_for(socket.recv(), 10))
        assert message["type"] == "event"
        found.append(message["event"])
    return found


async def no_more(socket: ClientConnection, within_s: float = 0.2) -> None:
    """Nothing else comes."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(socket.recv(), within_s)


async def until_listening(case: LiveCase) -> None:
    """Wait until the tail runs."""
    async with asyncio.timeout(10):
        while not case.served.doors._follow.hub.reads:  # type: ignore[union-attr]  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def old_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' events are older than what is sent of the past."""
    monkeypatch.setattr(events_out, "BACKFILL_MAX_S", 10 * 365 * 86_400)


@pytest.mark.parametrize("behind", [0, 3, 1_000])
async def test_stored_events_come_first_then_live_ones_and_each_once(
    behind: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However far the store is behind, nothing is missing and nothing comes twice."""
    monkeypatch.setattr(events_out, "_PAGE", 7)
    case, stored = with_store()
    stored.behind = behind
    async with case.running():
        before = [put(case.log, number) for number in range(60)]
        put(case.log, 59, id_text=before[59])  # sent again
        async with case.prefect(OUT) as socket:
            await subscribe(socket, {"occurred": SINCE})
            past = [event["id"] for event in await take(socket, 60)]
            assert sorted(past) == sorted(before)
            if behind == 0:
                assert past == before
            after = [put(case.log, number) for number in range(60, 90)]
            put(case.log, 0, id_text=before[0])
            assert sorted(event["id"] for event in await take(socket, 30)) == sorted(after)
            await no_more(socket)
    if behind == 0:
        assert len(stored.pages) == 9


async def test_without_backfill_only_what_comes_is_sent() -> None:
    """`backfill: false` asks for nothing of the past."""
    case, stored = with_store()
    async with case.running(), case.prefect(OUT) as socket:
        put(case.log, 1)
        await subscribe(socket, backfill=False)
        await until_listening(case)
        event = put(case.log, 2)
        assert [one["id"] for one in await take(socket, 1)] == [event]
    assert not stored.pages


async def test_one_filter_holds_for_the_past_and_for_what_comes() -> None:
    """`related` is asked of live events too, which Prefect passes over."""
    related = ({"prefect.resource.id": "flow.f", "prefect.resource.role": "flow"},)
    case, stored = with_store()
    async with case.running(), case.prefect(OUT) as socket:
        put(case.log, 1)
        past = put(case.log, 2, related=related)
        put(case.log, 2, related=related, name="file.created")
        wanted = {
            "occurred": SINCE,
            "event": {"prefix": ["order."], "name": None},
            "related": [{"id": ["flow.f"], "role": ["flow"], "labels": None, "resources_in_roles": None}],
            "order": "DESC",
            "id": {"id": []},
        }
        await subscribe(socket, wanted)
        assert [one["id"] for one in await take(socket, 1)] == [past]
        await until_listening(case)
        put(case.log, 3)
        live = put(case.log, 4, related=related)
        put(case.log, 5, related=({**related[0], "prefect.resource.role": "tag"},))
        assert [one["id"] for one in await take(socket, 1)] == [live]
        await no_more(socket)
    assert stored.pages[0].prefixes == ("order.",)


async def test_the_past_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However early `since` lies, stored events are sent of the last hour only."""
    monkeypatch.setattr(events_out, "BACKFILL_MAX_S", 3_600)
    case, stored = with_store()
    async with case.running(), case.prefect(OUT) as socket:
        await subscribe(socket, {"occurred": {"since": "1970-01-01T00:00:00Z"}})
        await until_listening(case)
    page = stored.pages[0]
    assert page.since_us > 1_769_860_800_000_000


WRONG: dict[str, tuple[str, str]] = {
    "another type": ('{"type": "event"}', "Expected 'filter' message"),
    "no JSON": ("{", "Expected 'filter' message"),
    "an unknown member": ('{"type": "filter", "filter": {"x": 1}}', "Invalid filter: x"),
    "a wrong value": ('{"type": "filter", "filter": {"event": {"name": 1}}}', "Invalid filter: event.name"),
    "a long reason": (
        json.dumps({"type": "filter", "filter": {"ä" * 300: 1}}),
        "Invalid filter: ",
    ),
}


@pytest.mark.parametrize("what", WRONG)
async def test_a_wrong_filter_closes_the_socket(what: str) -> None:
    """1002 and a reason that fits into a close frame."""
    message, reason = WRONG[what]
    case, _ = with_store()
    async with case.running(), case.prefect(OUT) as socket:
        await socket.send(message)
        code, told = await closed(socket)
        assert code == 1002
        assert (told or "").startswith(reason)


async def test_no_filter_in_time_closes_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever says nothing is closed."""
    monkeypatch.setattr(handshake, "WORDS_WITHIN_S", 0.3)
    case, _ = with_store()
    async with case.running(), case.prefect(OUT) as socket:
        assert (await closed(socket))[0] == 1002


@pytest.mark.parametrize("failure", [Transport("the store is away"), Overload("too many readers")])
async def test_a_store_that_is_away_sends_the_subscriber_back_later(failure: Exception) -> None:
    """What is missing is not passed over in silence: 1013, and the client connects again."""
    case, stored = with_store()
    stored.failure = failure
    async with case.running(), case.prefect(OUT) as socket:
        await subscribe(socket)
        assert await closed(socket) == (1013, str(failure))


async def test_the_auth_string_is_asked_for_on_the_way_out() -> None:
    """The handshake is the one of the way in."""
    case, _ = with_store(auth="user:pass")
    async with case.running():
        async with case.prefect(OUT, "user:pass") as socket:
            await asyncio.wait_for(await socket.ping(), 5)
        async with case.socket(OUT, subprotocols=["prefect"]) as socket:  # type: ignore[list-item]
            await socket.send('{"type": "auth", "token": "x"}')
            assert await closed(socket) == (1008, "Invalid token")


async def test_the_version_and_a_batch_by_http() -> None:
    """The version is a JSON text; an array of events is 204 when acknowledged, with the clients' ids."""
    case = LiveCase()
    events = [prefect_event(number) for number in range(3)]
    async with case.running(), case.client() as client:
        assert (await client.get("/api/admin/version")).json() == "3.8.8"
        answer = await client.post("/api/events", json=events)
        assert (answer.status_code, answer.content) == (204, b"")
        assert (await client.post("/api/events", json=[])).status_code == 204
    assert sorted(ids(case.events())) == sorted(event["id"] for event in events)


BODIES: dict[str, tuple[Any, int]] = {
    "one bad": ([prefect_event(1), prefect_event(2, resource={})], 422),
    "a name of ours": ([prefect_event(1, event="ensue.run.failed")], 422),
    "no array": (prefect_event(1), 422),
    "no id": ([{**prefect_event(1), "id": None}], 422),
    "too many": ([prefect_event(number) for number in range(11)], 413),
}


@pytest.mark.parametrize("what", BODIES)
async def test_a_bad_batch_is_refused_whole(what: str) -> None:
    """Nothing of it is taken."""
    body, status = BODIES[what]
    case = LiveCase(events_per_body=10)
    async with case.running(), case.client() as client:
        answer = await client.post("/api/events", json=body)
        assert answer.status_code == status, answer.text
        for raw, kind, expected in ((b"{", "application/json", 400), (b"[]", "text/plain", 415)):
            sent = await client.post("/api/events", content=raw, headers={"content-type": kind})
            assert sent.status_code == expected
    assert not case.events()


async def test_http_asks_for_the_auth_string_and_for_kafka() -> None:
    """401 without the right header; 503 with Retry-After when Kafka does not acknowledge."""
    header = {"authorization": "Basic " + base64.b64encode(b"user:pass").decode()}
    case = LiveCase(auth="user:pass")
    async with case.running(), case.client() as client:
        for wrong in ({}, {"authorization": "Basic !"}, {"authorization": "Bearer user:pass"}):
            assert (await client.get("/api/admin/version", headers=wrong)).status_code == 401
            assert (await client.post("/api/events", json=[], headers=wrong)).status_code == 401
        assert (await client.get("/api/admin/version", headers=header)).status_code == 200
        case.producer.failure = Transport("no broker")
        answer = await client.post("/api/events", json=[prefect_event(1)], headers=header)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
