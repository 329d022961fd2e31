"""A gateway on a real socket over a log in memory: for tests of what stays open."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection, connect

from schemas.codec import fixed_codec
from schemas.event import Event, from_micros
from schemas.event_record import to_record
from schemas.new_id import new_id
from schemas.record import DeadLetter, EventRecord
from schemas.shard import shard
from streams.gateway.doors import Heard
from streams.gateway.kafka_log import KafkaEventLog
from streams.gateway.live.reading import LiveLog
from streams.gateway.prefect.stored import StoredEvents
from streams.gateway.server import Served, bind, run_app
from streams.kafka.memory import MemoryLog, MemoryProducer, MemoryReader
from streams.kafka.record import Outgoing
from streams.settings import LimitSettings, Settings
from tests.gateway_case import View

EVENTS, LETTERS = "ensue.events", "ensue.dead-letters"
PARTITIONS = 8
CODEC = fixed_codec()


class LiveCase:
    """The gateway, its log, and clients of it."""

    def __init__(self, *, auth: str | None = None, stored: StoredEvents | None = None, **limits: Any) -> None:
        self.log = MemoryLog({EVENTS: PARTITIONS, LETTERS: PARTITIONS})
        self.producer = MemoryProducer(self.log)
        self.settings = Settings(
            limits=LimitSettings(**limits), prefect_auth_string=None if auth is None else SecretStr(auth)
        )
        self.live = live_log(self.log)
        self.served = Served(
            self.settings,
            log=KafkaEventLog(self.producer),
            codec=CODEC,
            probe=View(),
            lag=View(),
            hooks={},
            heard=Heard(log=self.live, stored=stored),
        )
        self.port = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator["LiveCase"]:
        """Serve for a while; what was held is answered at the end."""
        sock = bind("127.0.0.1", 0)
        self.port = sock.getsockname()[1]
        stop = asyncio.Event()
        listening = asyncio.Event()
        serving = asyncio.create_task(
            run_app(
                self.served.app,
                sock,
                on_listening=lambda _: listening.set(),
                on_stop=self.served.doors.close,
                stop=stop,
            )
        )
        await listening.wait()
        try:
            yield self
        finally:
            self.producer.release()
            stop.set()
            await asyncio.wait_for(serving, 20)

    def socket(self, path: str, **options: Any) -> connect:
        """A socket to a path."""
        return connect(f"ws://127.0.0.1:{self.port}{path}", **options)

    @asynccontextmanager
    async def prefect(self, path: str, token: str | None = None) -> AsyncIterator[ClientConnection]:
        """A socket that has shaken hands as Prefect's client does."""
        async with self.socket(path, subprotocols=["prefect"]) as socket:
            await asyncio.wait_for(await socket.ping(), 5)
            await socket.send(json.dumps({"type": "auth", "token": token}))
            assert json.loads(await socket.recv()) == {"type": "auth_success"}
            yield socket

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """An HTTP client."""
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=10) as client:
            yield client

    def events(self) -> list[EventRecord]:
        """The events in the log."""
        return [
            CODEC.decode(record.value or b"", EventRecord)
            for partition in range(PARTITIONS)
            for record in self.log.records(EVENTS, partition)
        ]

    def letters(self) -> list[DeadLetter]:
        """The dead letters in the log."""
        return [
            CODEC.decode(record.value or b"", DeadLetter)
            for partition in range(PARTITIONS)
            for record in self.log.records(LETTERS, partition)
        ]

    async def until_held(self, rows: int) -> None:
        """Wait until so many rows wait for an acknowledgement."""
        async with asyncio.timeout(10):
            while self.producer.in_flight < rows:  # noqa: ASYNC110 - a counter of another thread
                await asyncio.sleep(0.005)


def live_log(log: MemoryLog) -> LiveLog:
    """The log in memory as one to listen to."""
    return LiveLog(lambda: MemoryReader(log), EVENTS, PARTITIONS, CODEC)


def put(log: MemoryLog, number: int, *, id_text: str = "", name: str = "order.created", **more: Any) -> str:
    """Write an event straight into the log; return its id."""
    id_text = id_text or new_id()
    resource = f"order://{number}"
    event = Event(
        id=id_text,
        event=name,
        resource_id=resource,
        resource={"resource.id": resource},
        occurred=from_micros(1_769_860_800_000_000 + number),
        **more,
    )
    value = CODEC.encode(to_record(event))
    log.append(Outgoing(EVENTS, shard(resource, PARTITIONS), resource.encode(), value))
    return id_text


def prefect_event(number: int, **more: Any) -> dict[str, Any]:
    """An event as Prefect's client writes it."""
    return {
        "occurred": "2026-01-31T12:00:00.123456Z",
        "event": "order.created",
        "resource": {"prefect.resource.id": f"order.{number}"},
        "related": [],
        "payload": {"number": number},
        "id": new_id(),
        "follows": None,
        **more,
    }


async def closed(socket: ClientConnection) -> tuple[int | None, str | None]:
    """Wait until the other side closes; return code and reason."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(10):
            while True:
                await socket.recv()
    return socket.close_code, socket.close_reason


def ids(rows: Sequence[Any]) -> list[str]:
    """The ids of records, in their order."""
    return [row.id for row in rows]
