"""GET /events/stream: server-sent events and WebSocket frames, filtered, resumed, cut off."""

import asyncio
import json
import socket as sockets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from streams.gateway.live import stream as stream_module
from streams.gateway.live.position import decode, encode
from streams.gateway.live.stream import EventStream
from tests.live_case import PARTITIONS, LiveCase, closed, put

pytestmark = pytest.mark.unit
PATH = "/events/stream"
START = encode((0,) * PARTITIONS)


@dataclass
class Browser:
    """What a browser's EventSource makes of the lines."""

    lines: AsyncIterator[str]
    last_id: str = ""
    retry: str = ""
    events: list[tuple[str, Any]] = field(default_factory=list)

    async def read(self, count: int) -> list[tuple[str, Any]]:
        """Read on until there are `count` events in all; a last id without data is no event."""
        name, data = "message", ""
        async with asyncio.timeout(10):
            while len(self.events) < count:
                line = await anext(self.lines)
                if not line:
                    if data:
                        self.events.append((name, json.loads(data)))
                    name, data = "message", ""
                    continue
                key, _, value = line.partition(": ")
                if key == "id":
                    self.last_id = value
                elif key == "data":
                    data += value
                elif key == "event":
                    name = value
                elif key == "retry":
                    self.retry = value
        return self.events

    async def until_known(self) -> None:
        """Read until there is a position."""
        async with asyncio.timeout(10):
            while not self.last_id:
                key, _, value = (await anext(self.lines)).partition(": ")
                if key == "id":
                    self.last_id = value


@asynccontextmanager
async def browser(client: httpx.AsyncClient, query: str = "", last_id: str = "") -> AsyncIterator[Browser]:
    """An open stream."""
    headers = {"last-event-id": last_id} if last_id else {}
    async with client.stream("GET", PATH + query, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Browser(answer.aiter_lines())


async def test_events_come_live_and_go_on_after_the_last_id() -> None:
    """What is written while nobody listens comes at the next connection, once, in the log's order."""
    case = LiveCase()
    async with case.running(), case.client() as client:
        async with browser(client) as page:
            await page.until_known()
            first = [put(case.log, 1) for _ in range(3)]
            assert [data["id"] for _, data in await page.read(3)] == first
            event = page.events[0][1]
            assert (event["event"], event["resource_id"]) == ("order.created", "order://1")
            assert (event["resource"], event["payload"]) == ({"resource.id": "order://1"}, {})
            last_id = page.last_id
        missed = [put(case.log, 1) for _ in range(3)]
        async with browser(client, last_id=last_id) as page:
            news = put(case.log, 1)
            assert [data["id"] for _, data in await page.read(4)] == [*missed, news]
            assert page.retry == "" or int(page.retry) > 0
        async with browser(client, f"?after={last_id}") as page:
            assert [data["id"] for _, data in await page.read(4)] == [*missed, news]


async def test_a_browser_that_never_saw_an_event_goes_on_where_it_was() -> None:
    """The position is told at the start and with heartbeats, so a reconnect has no gap even then."""
    case = LiveCase()
    case.served.doors._follow._heartbeat_s = 0.1  # type: ignore[union-attr]
    async with case.running(), case.client() as client:
        async with browser(client, "?event=never") as page:
            await page.until_known()
            before = page.last_id
            put(case.log, 1)
            async with asyncio.timeout(5):
                while page.last_id == before:
                    with suppress(TimeoutError):
                        page.last_id = ""
                        await page.until_known()
        assert sum(decode(page.last_id, PARTITIONS)) == 1
        event = put(case.log, 2)
        async with browser(client, last_id=page.last_id) as page:
            assert [data["id"] for _, data in await page.read(1)] == [event]


FILTERS = {
    "?event=order.*": {"created", "deleted"},
    "?event=*.created": {"created", "file"},
    "?event=order.created&event=f*": {"created", "file"},
    "?event=!order.*": {"file"},
    "?resource=order%3A//1": {"created", "deleted"},
    "?resource=order%3A//2": {"file"},
    "?source=s3": {"file"},
    "?source=": {"created", "deleted"},
    "?related=flow*": {"deleted"},
    "?event=order.*&related=nobody": set(),
}


@pytest.mark.parametrize("query", FILTERS)
async def test_a_query_filters(query: str) -> None:
    """Globs over name, resource, source and related resources; all fields must hold, one value of each."""
    case = LiveCase()
    found = {
        "created": put(case.log, 1),
        "deleted": put(
            case.log, 1, name="order.deleted", related=({"resource.id": "flow.f", "resource.role": "flow"},)
        ),
        "file": put(case.log, 2, name="file.created", source="s3"),
    }
    wanted = {found[name] for name in FILTERS[query]}
    async with case.running(), case.client() as client, browser(client, f"{query}&after={START}") as page:
        await page.until_known()
        await page.read(len(wanted))
        with suppress(TimeoutError):
            async with asyncio.timeout(0.15):
                await page.read(len(wanted) + 1)
        assert {data["id"] for _, data in page.events} == wanted


BAD = {
    "?evnet=x": 400,
    "?after=nonsense": 400,
    "?event=" + "x" * 2_000: 400,
    "?event=%ff": 400,
    f"?after={encode((7,) * PARTITIONS)}": 410,
    f"?after={encode((0,) * 3)}": 400,
}


@pytest.mark.parametrize("query", BAD)
async def test_a_wrong_query_is_refused(query: str) -> None:
    """Unknown fields, no positions and positions that the log does not hold are refused before a byte."""
    case = LiveCase()
    async with case.running(), case.client() as client:
        answer = await client.get(PATH + query)
        assert answer.status_code == BAD[query], answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        with pytest.raises(InvalidStatus) as refused:
            await case.socket(PATH + query).__aenter__()
        assert refused.value.response.status_code == BAD[query]


async def test_a_foreign_page_hears_nothing() -> None:
    """Origin and Host are judged here, too."""
    case = LiveCase()
    async with case.running(), case.client() as client:
        for headers, status in (({"origin": "http://evil.example"}, 403), ({"host": "evil.example"}, 421)):
            assert (await client.get(PATH, headers=headers)).status_code == status


async def test_a_socket_sends_frames_and_goes_on_from_a_position() -> None:
    """The same path as a WebSocket: one JSON object a frame, `after` resumes."""
    case = LiveCase()
    async with case.running():
        async with case.socket(f"{PATH}?event=order.*") as socket:
            position = json.loads(await socket.recv())["position"]
            event = put(case.log, 1)
            frame = json.loads(await asyncio.wait_for(socket.recv(), 5))
            assert frame["event"]["id"] == event
        missed = [put(case.log, 1), put(case.log, 1)]
        async with case.socket(f"{PATH}?after={frame['position']}") as socket:
            got = []
            while len(got) < 2:
                frame = json.loads(await asyncio.wait_for(socket.recv(), 5))
                got += [frame["event"]["id"]] if "event" in frame else []
            assert got == missed
            await asyncio.wait_for(await socket.ping(), 5)
        assert decode(position, PARTITIONS) == (0,) * PARTITIONS


async def test_a_slow_reader_is_told_and_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads too slowly gets an `overrun` and the end, as a socket 1008; who reads nothing is cut off."""
    monkeypatch.setattr(stream_module, "SEND_WITHIN_S", 0.5)
    case = LiveCase()
    doors = case.served.doors
    small = EventStream(doors._follow, events_max=50)  # type: ignore[arg-type]
    doors.sockets._handlers = {PATH: small.socket}
    case.served.app._stream = small
    big = {"x": "y" * 20_000}

    def flood(count: int) -> None:
        for number in range(count):
            put(case.log, number, payload=big)

    async with case.running(), case.client() as client:
        async with browser(client) as page:
            await page.until_known()
            flood(1_000)
            await asyncio.sleep(0.3)
            with suppress(StopAsyncIteration):
                await page.read(2_000)
            name, data = page.events[-1]
            assert (name, data["reason"]) == ("overrun", "overrun")
            assert len(page.events) < 1_000
        async with case.socket(PATH) as socket:
            await socket.recv()
            flood(1_000)
            await asyncio.sleep(0.3)
            code, reason = await closed(socket)
            assert (code, (reason or "").startswith("overrun: ")) == (1008, True)
        await _reads_nothing(case, flood)


async def _reads_nothing(case: LiveCase, flood: Any) -> None:
    with sockets.create_connection(("127.0.0.1", case.port)) as raw:
        raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        raw.sendall(f"GET {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode())
        await asyncio.sleep(0.2)
        flood(3_000)
        async with asyncio.timeout(10):
            while case.served.doors._follow.hub.reads:  # type: ignore[union-attr]  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_the_end_of_the_gateway_is_not_held_up_by_listeners() -> None:
    """Open streams end at once when the gateway stops, and say why."""
    case = LiveCase()
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as clients:
        async with case.running():
            client = await clients.enter_async_context(case.client())
            page = await clients.enter_async_context(browser(client))
            await page.until_known()
            socket = await case.socket(PATH)
            began_s = loop.time()
        assert loop.time() - began_s < 5
        assert [name for name, _ in await page.read(1)] == ["closing"]
        assert (await closed(socket))[0] in {1012, 1013}
