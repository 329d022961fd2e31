"""The gateway as one ASGI application; whatever it does not know goes to the mounted one (the console)."""

import logging
from collections.abc import Awaitable, Callable

import orjson

from streams.gateway.body import SenderGone
from streams.gateway.doors import Doors
from streams.gateway.health import Readiness
from streams.gateway.hooks import PREFIX, PostHook
from streams.gateway.in_flight import InFlight
from streams.gateway.live.stream import PATH as STREAM_PATH
from streams.gateway.metrics import Metrics
from streams.gateway.openapi import DOCUMENT
from streams.gateway.origin import OriginCheck
from streams.gateway.post_events import PostEvents
from streams.gateway.problem import Problem
from streams.gateway.protocol import ABORT
from streams.gateway.request import TEXT, Answer, ASGIApp, Receive, Request, Scope, Send, answer_of, respond

_log = logging.getLogger(__name__)
Handler = Callable[[Request], Awaitable[Answer]]


class Gateway:
    """Checks Host and Origin of every request, finds its handler, answers; a refusal is problem JSON."""

    def __init__(
        self,
        *,
        origin: OriginCheck,
        events: PostEvents,
        hooks: PostHook,
        readiness: Readiness,
        metrics: Metrics,
        in_flight: InFlight,
        doors: Doors,
        fallback: ASGIApp | None = None,
        more_metrics: Callable[[], bytes] = bytes,
    ) -> None:
        self._origin = origin
        self._sockets = doors.sockets
        self._stream = doors.stream
        self._events = events
        self._hooks = hooks
        self._readiness = readiness
        self._metrics = metrics
        self._in_flight = in_flight
        self._more_metrics = more_metrics
        self._fallback = fallback or _nothing_here
        self._routes: dict[str, tuple[str, Handler]] = {
            "/events": ("POST", events),
            "/health/live": ("GET", self._live),
            "/health/ready": ("GET", self._ready),
            "/metrics": ("GET", self._exposition),
            "/api/admin/version": ("GET", doors.prefect.version),
            "/api/events": ("POST", doors.prefect.events),
            "/openapi.json": ("GET", self._description),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or one WebSocket to its end."""
        if scope["type"] == "websocket":
            await self._sockets(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(
            scope["method"],
            scope["path"],
            dict(scope["headers"]),
            receive,
            scope["query_string"].decode("latin-1"),
            scope["headers"],
        )
        route = request.path if request.path in self._routes else "other"
        try:
            self._origin.check(request.headers)
            if self._stream is not None and request.path == STREAM_PATH and request.method == "GET":
                await self._stream.server_sent(request, send, scope.get(ABORT, _cannot_abort))
                self._metrics.requests[STREAM_PATH, 200] += 1
                return
            handler = self._handler(request)
            if handler is not None:
                answer = await handler(request)
        except Problem as problem:
            answer = answer_of(problem)
        except SenderGone:
            return
        except Exception:
            _log.exception("a fault of ours while serving %s %s", request.method, route)
            answer = answer_of(Problem(500, "internal", "A fault of ours; it is in the log. Send it again."))
        else:
            if handler is None:
                # The mounted application answers for itself, its own faults included.
                await self._fallback(scope, receive, send)
                return
        self._metrics.requests[route, answer.status] += 1
        await respond(send, answer)

    def _handler(self, request: Request) -> Handler | None:
        found = self._routes.get(request.path)
        if found is None:
            # A source knows its methods: handshakes come by OPTIONS or GET.
            return self._hooks if request.path.startswith(PREFIX) else None
        method, handler = found
        if request.method == "OPTIONS" and handler is self._events:
            return self._events.options
        if request.method != method:
            allow = ((b"allow", method.encode()),)
            raise Problem(405, "method", f"Use {method} here.", headers=allow)
        return handler

    @property
    def paths(self) -> tuple[str, ...]:
        """Return what is served here; openapi.json describes each."""
        return (*self._routes, f"{PREFIX}{{name}}")

    async def _description(self, _: Request) -> Answer:
        return Answer(200, DOCUMENT)

    async def _live(self, _: Request) -> Answer:
        return Answer(200, b'{"status":"live"}')

    async def _ready(self, _: Request) -> Answer:
        health = await self._readiness.check()
        body = {
            "status": "ready" if health.ready else "not ready",
            "reasons": health.reasons,
            "canary": health.canary_id,
            "sink_lag_share": health.sink_lag_share,
        }
        retry = () if health.ready else ((b"retry-after", b"1"),)
        return Answer(200 if health.ready else 503, orjson.dumps(body), headers=retry)

    async def _exposition(self, _: Request) -> Answer:
        text = self._metrics.text(self._in_flight, ready=self._readiness.ready)
        return Answer(200, text + self._hooks.counters.text() + self._more_metrics(), TEXT)


async def _nothing_here(_scope: Scope, _receive: Receive, send: Send) -> None:
    await respond(send, answer_of(Problem(404, "no-such-path", "There is nothing at this path.")))


def _cannot_abort() -> None:
    """Stand in where no server is: a test's client reads everything."""
