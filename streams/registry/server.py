"""The registry process."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import uvicorn

from streams.errors import Transport
from streams.kafka.admin import ensure_topics, wait_ready
from streams.kafka.consumer import LogReader
from streams.registry.app import build_app
from streams.registry.kafka_writer import KafkaWriter
from streams.registry.problem import RegistryProblem
from streams.registry.schema_log import SchemaLog
from streams.registry.service import RegistryService
from streams.registry.state import State
from streams.serving import QuietServer, end_when, ended_by_signals
from streams.settings import KafkaSettings, Settings

_log = logging.getLogger(__name__)
TOPIC = "_schemas"
_BROKER_TIMEOUT_S = 120.0
_TAKE_OVER_RETRY_S = 1.0
_STOP_WITHIN_S = 12
_LEADER_RETRY_S = 0.1
_ANY_ADDRESS = frozenset({"", "0.0.0.0", "::"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _SchemasTopic:
    """Kept whole: the cleaner drops what an aborted transaction carried, and a take-over aborts one.

    Confluent's registry asks for `compact`; schemas are few, and ids must never be forgotten.
    """

    name: str
    partitions: int = 1

    @property
    def config(self) -> dict[str, str]:
        return {"cleanup.policy": "delete", "retention.ms": "-1"}


async def serve(
    settings: Settings,
    host: str,
    port: int,
    *,
    on_listening: Callable[[int], None] | None = None,
    stop: asyncio.Event | None = None,
    topic: str = TOPIC,
) -> None:
    """Serve until SIGTERM, SIGINT or `stop`. Waits for the broker; listens once the topic is read.

    Args:
        settings: `kafka` and `allowed_hosts`.
        host: Address to listen on.
        port: 0 chooses a free one.
        on_listening: Called once with the port.
        stop: Ends it, when the caller handles signals itself.
        topic: Where schemas are kept.

    Raises Transport when the broker or the topic cannot be read in time, OSError when the port is taken.

    """
    sock = _listening(host, port)
    ended = stop or asyncio.Event()
    try:
        with ended_by_signals(ended) if stop is None else nullcontext():
            state = State()
            log = await asyncio.to_thread(_open, settings.kafka, topic, state)
            try:
                if on_listening is not None:
                    on_listening(sock.getsockname()[1])
                hosts = [*settings.allowed_hosts, *([] if host in _ANY_ADDRESS else [host])]
                await _run(build_app(RegistryService(state, log), hosts), sock, log, ended)
            finally:
                await asyncio.to_thread(log.close)
    finally:
        sock.close()


def _listening(host: str, port: int) -> socket.socket:
    # The protocol is named because asyncio sets TCP_NODELAY only then; without it each answer waits 40 ms.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(128)
    except OSError:
        sock.close()
        raise
    return sock


def _open(settings: KafkaSettings, topic: str, state: State) -> SchemaLog:
    wait_ready(settings, _BROKER_TIMEOUT_S)
    ensure_topics(settings, [_SchemasTopic(name=topic)])
    _await_leader(settings, topic)

    def end() -> int:
        with LogReader(settings, client_id="ensue-registry-end") as reader:
            return reader.watermarks(topic, 0)[1]

    log = SchemaLog(
        LogReader(settings, client_id="ensue-registry", properties={"fetch.wait.max.ms": 500}),
        (topic, 0),
        open_writer=lambda: KafkaWriter.open(settings, topic),
        end=end,
        apply=state.apply,
    )
    try:
        log.start()
    except RegistryProblem as error:
        log.close()
        raise Transport(f"the registry's topic {topic} cannot be read: {error}") from error
    return log


def _await_leader(settings: KafkaSettings, topic: str) -> None:
    """Return once the topic can be read: after a restart its leader comes a moment later than the broker."""
    deadline_s = time.monotonic() + _BROKER_TIMEOUT_S
    while True:
        try:
            with LogReader(settings, client_id="ensue-registry-leader") as reader:
                reader.watermarks(topic, 0)
        except Transport:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(_LEADER_RETRY_S)
        else:
            return


async def _run(app: object, sock: socket.socket, log: SchemaLog, ended: asyncio.Event) -> None:
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_STOP_WITHIN_S,
        limit_concurrency=1024,
    )
    server = QuietServer(config)
    beside = [asyncio.ensure_future(end_when(ended, server)), asyncio.ensure_future(_take_over(log))]
    try:
        await server.serve(sockets=[sock])
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)


async def _take_over(log: SchemaLog) -> None:
    """Open the writer before the first write wants it; reads are served meanwhile."""
    while not log.writable:
        try:
            await asyncio.to_thread(log.take_over)
        except RegistryProblem as error:
            _log.warning("the registry cannot write yet: %s", error)
            if error.code == 50003:
                return
            await asyncio.sleep(_TAKE_OVER_RETRY_S)
