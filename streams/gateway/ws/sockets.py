"""Which socket is served where; a bound on how many there are."""

import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping

from streams.gateway.metrics import Metrics
from streams.gateway.origin import OriginCheck
from streams.gateway.problem import Problem, unavailable
from streams.gateway.request import Receive, Scope, Send
from streams.gateway.ws.socket import INTERNAL, PeerGone, Refused, WebSocket

SOCKETS_MAX = 256
Handler = Callable[[WebSocket], Awaitable[None]]
_log = logging.getLogger(__name__)


class Sockets:
    """Checks Host and Origin of every upgrade, finds its handler, and ends what it could not serve."""

    def __init__(
        self,
        origin: OriginCheck,
        metrics: Metrics,
        handlers: Mapping[str, Handler],
        *,
        sockets_max: int = SOCKETS_MAX,
    ) -> None:
        self._origin = origin
        self._metrics = metrics
        self._handlers = handlers
        self._sockets_max = sockets_max
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection to its end."""
        socket = WebSocket(scope, receive, send)
        route = socket.path if socket.path in self._handlers else "other"
        with contextlib.suppress(PeerGone):
            try:
                handler = self._admitted(socket)
            except Problem as problem:
                self._metrics.requests[route, problem.status] += 1
                await socket.refuse(problem)
                return
            self._metrics.requests[route, 101] += 1
            self._open += 1
            try:
                await handler(socket)
            except Problem as problem:
                await socket.refuse(problem)
            except Refused as refused:
                await socket.close(refused.code, str(refused))
            except PeerGone:
                raise
            except Exception:
                _log.exception("a fault of ours while serving the socket %s", route)
                await socket.close(INTERNAL, "A fault of ours; connect again.")
            finally:
                self._open -= 1

    def _admitted(self, socket: WebSocket) -> Handler:
        self._origin.check(socket.headers)
        handler = self._handlers.get(socket.path)
        if handler is None:
            raise Problem(404, "no-such-path", "There is no socket at this path.")
        if self._open >= self._sockets_max:
            raise unavailable(
                "overload", f"{self._open} sockets are open, the most there may be; connect later."
            )
        return handler
