"""Running the gateway: one socket, one event loop, an orderly end."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import nullcontext

import uvicorn
from starlette.routing import BaseRoute

from schemas.codec import Codec
from schemas.event_type import EventTypes
from streams.clock import Clock, SystemClock
from streams.gateway.app import Gateway
from streams.gateway.beside import beside
from streams.gateway.doors import Doors, Heard
from streams.gateway.health import Readiness
from streams.gateway.hooks import PostHook
from streams.gateway.in_flight import InFlight
from streams.gateway.intake import Intake
from streams.gateway.item import Writer
from streams.gateway.metrics import Metrics
from streams.gateway.origin import OriginCheck
from streams.gateway.outbound import NoOutbound, Outbound
from streams.gateway.ports import EventLog, Hooks, SinkLag, StoreProbe
from streams.gateway.post_events import PostEvents
from streams.gateway.protocol import KEEP_ALIVE_S, BoundedProtocol
from streams.gateway.request import ASGIApp
from streams.gateway.ws.protocol import MESSAGE_BYTES_MAX, PING_EVERY_S, PONG_WITHIN_S, HeldPingsProtocol
from streams.inbound import BodyForm
from streams.serving import QuietServer, end_when, ended_by_signals
from streams.settings import Settings

_log = logging.getLogger(__name__)
STOP_WITHIN_S = 12  # for requests in flight; the acknowledgement's timeout is 10 s
CONNECTIONS_MAX = 8192
_BACKLOG = 2048
_SWEEP_EVERY_S = 1.0


class Served:
    """A gateway that is put together: its application, and the intake that watching sources publish to."""

    def __init__(
        self,
        settings: Settings,
        *,
        log: EventLog,
        codec: Codec,
        probe: StoreProbe,
        lag: SinkLag,
        hooks: Hooks,
        extra_routes: Sequence[BaseRoute] = (),
        clock: Clock | None = None,
        outbound: Outbound | None = None,
        form: BodyForm | None = None,
        more_metrics: Callable[[], bytes] = bytes,
        heard: Heard | None = None,
        types: EventTypes | None = None,
    ) -> None:
        clock = clock or SystemClock()
        kafka, limits = settings.kafka, settings.limits
        names = kafka.topics()
        self.metrics = Metrics()
        self.in_flight = InFlight(bytes_max=limits.in_flight_bytes)
        writer = Writer(
            header=codec.header("event"),
            partitions=names.events.partitions,
            limits=limits,
            types=types or EventTypes(),
        )
        self.intake = Intake(
            log, codec, names, writer, self.metrics, ack_timeout_s=limits.ack_timeout_s, clock=clock
        )
        self.readiness = Readiness(self.intake, probe, lag, clock, host=socket.gethostname())
        fallback: ASGIApp | None = beside(extra_routes) if extra_routes else None
        origin = OriginCheck(settings.allowed_hosts, settings.host)
        self.doors = Doors(settings, writer, self.intake, self.in_flight, clock, origin, self.metrics, heard)
        self.app = Gateway(
            origin=origin,
            doors=self.doors,
            events=PostEvents(writer, self.intake, self.in_flight, clock, form),
            hooks=PostHook(hooks, self.intake, self.in_flight, limits, clock, outbound or NoOutbound()),
            readiness=self.readiness,
            metrics=self.metrics,
            in_flight=self.in_flight,
            fallback=fallback,
            more_metrics=more_metrics,
        )


async def serve(
    settings: Settings,
    *,
    log: EventLog,
    codec: Codec,
    probe: StoreProbe,
    lag: SinkLag,
    hooks: Hooks,
    outbound: Outbound | None = None,
    form: BodyForm | None = None,
    extra_routes: Sequence[BaseRoute] = (),
    more_metrics: Callable[[], bytes] = bytes,
    heard: Heard | None = None,
    types: EventTypes | None = None,
    on_listening: Callable[[int, Intake], None] | None = None,
    on_made: Callable[[Readiness], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve until SIGTERM, SIGINT or `stop`; requests in flight are answered first, within 12 s.

    Args:
        settings: `host`, `port` (0 chooses a free one), `limits`, `allowed_hosts`, `kafka`.
        log: Where events go.
        codec: Knows the id of our event schema.
        probe: Says when the canary is visible in SQL.
        lag: How far the sink is behind.
        hooks: Sources at /hooks/NAME, by name.
        outbound: What may fetch keys and confirm subscriptions; without it nothing is asked.
        form: What POST /events takes beside our own JSON.
        extra_routes: Starlette routes for what the gateway does not serve itself.
        more_metrics: Further lines of /metrics, in Prometheus' text form.
        heard: What those who listen hear; without it nobody can listen.
        types: Names whose payloads have a schema; whoever follows the registry replaces what is in it.
        on_listening: Called once with the port and the intake that watching sources publish to.
        on_made: Called before that with what tells whether events can come in.
        stop: Ends it, when the caller handles signals itself.

    """
    served = Served(
        settings,
        log=log,
        codec=codec,
        probe=probe,
        lag=lag,
        hooks=hooks,
        extra_routes=extra_routes,
        outbound=outbound,
        form=form,
        more_metrics=more_metrics,
        heard=heard,
        types=types,
    )
    if on_made is not None:
        on_made(served.readiness)
    await _listen(served, settings, on_listening, stop)


async def _listen(
    served: Served,
    settings: Settings,
    on_listening: Callable[[int, Intake], None] | None,
    stop: asyncio.Event | None,
) -> None:
    sock = bind(settings.host, settings.port)
    await run_app(
        served.app,
        sock,
        starting=served.readiness.start,
        on_listening=(lambda port: on_listening(port, served.intake)) if on_listening else None,
        on_stop=served.doors.close,
        stop=stop,
    )


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 chooses a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


async def run_app(
    app: ASGIApp,
    sock: socket.socket,
    *,
    starting: Callable[[], Coroutine[None, None, None]] | None = None,
    on_listening: Callable[[int], None] | None = None,
    on_stop: Callable[[], Coroutine[None, None, None]] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Run an ASGI application with the gateway's server settings; the benchmark runs an empty one so."""
    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws=HeldPingsProtocol,
        ws_max_size=MESSAGE_BYTES_MAX,
        ws_ping_interval=PING_EVERY_S,
        ws_ping_timeout=PONG_WITHIN_S,
        ws_per_message_deflate=False,  # a few bytes could unfold to a thousand times as many
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who asks is decided by Host and Origin, never by forwarded headers
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_WITHIN_S,
        limit_concurrency=CONNECTIONS_MAX,
        backlog=_BACKLOG,
    )
    server = QuietServer(config)
    ended = stop or asyncio.Event()
    beside: list[asyncio.Task[None]] = [asyncio.ensure_future(_sweep(server))]
    if starting is not None:
        beside.append(asyncio.create_task(starting()))
    with ended_by_signals(ended) if stop is None else nullcontext():
        beside.append(asyncio.ensure_future(end_when(ended, server)))
        if on_stop is not None:
            beside.append(asyncio.ensure_future(_when(ended, on_stop)))
        if on_listening is not None:
            on_listening(sock.getsockname()[1])
        try:
            await server.serve(sockets=[sock])
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)


async def _when(ended: asyncio.Event, call: Callable[[], Coroutine[None, None, None]]) -> None:
    await ended.wait()
    await call()


async def _sweep(server: uvicorn.Server) -> None:
    """End connections whose request head does not come; one task for all of them."""
    while True:
        await asyncio.sleep(_SWEEP_EVERY_S)
        now_s = time.monotonic()
        for connection in tuple(server.server_state.connections):
            if isinstance(connection, BoundedProtocol):
                connection.end_if_slow(now_s)
