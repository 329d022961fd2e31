"""A registry over the in-memory log, with a writer whose failures a test chooses."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
from starlette.types import ASGIApp

from streams.errors import EnsueError
from streams.kafka.memory import MemoryLog, MemoryReader
from streams.kafka.record import Outgoing
from streams.registry.schema_log import SchemaLog
from streams.registry.service import RegistryService
from streams.registry.state import State

TOPIC = "_schemas"


class FaultyWriter:
    """Writes; the next failure in `failures` is raised instead, after writing when `lands` says so."""

    def __init__(
        self, log: MemoryLog, failures: list[tuple[EnsueError, bool]], before_write: Callable[[], None]
    ) -> None:
        self._log = log
        self._before_write = before_write
        self._failures = failures
        self.usable = True

    def write(self, key: bytes, value: bytes | None) -> int:
        self._before_write()
        if not self._failures:
            return self._append(key, value)
        error, lands = self._failures.pop(0)
        if lands:
            self._append(key, value)
        raise error

    def _append(self, key: bytes, value: bytes | None) -> int:
        return self._log.append(Outgoing(TOPIC, 0, key, value)).offset

    def close(self) -> None:
        self.usable = False


class InMemory:
    """One registry process over a log that may outlive it."""

    def __init__(self, log: MemoryLog | None = None, *, timeout_s: float = 2.0) -> None:
        self.log = log or MemoryLog({TOPIC: 1})
        self.failures: list[tuple[EnsueError, bool]] = []
        self.opened = 0
        self.state = State()
        self.before_write: Callable[[], None] = lambda: None
        self.reader = MemoryReader(self.log)
        self.schema_log = SchemaLog(
            self.reader,
            (TOPIC, 0),
            open_writer=self._open,
            end=lambda: self.reader.watermarks(TOPIC, 0)[1],
            apply=self.state.apply,
            timeout_s=timeout_s,
        )
        self.service = RegistryService(self.state, self.schema_log)

    def _open(self) -> FaultyWriter:
        self.opened += 1
        return FaultyWriter(self.log, self.failures, self._intrude)

    def _intrude(self) -> None:
        self.before_write()


@contextmanager
def registry(log: MemoryLog | None = None, *, timeout_s: float = 2.0) -> Iterator[InMemory]:
    """Start one; ends with the block."""
    made = InMemory(log, timeout_s=timeout_s)
    made.schema_log.start()
    try:
        yield made
    finally:
        made.schema_log.close()


class InProcess(httpx.BaseTransport):
    """Hands requests to an ASGI application without a socket."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = request.read()

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            copy = httpx.Request(request.method, request.url, headers=request.headers, content=body)
            answer = await transport.handle_async_request(copy)
            return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())

        return asyncio.run(ask())
