"""GET /events/stream as server-sent events, and the same path as a WebSocket."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import orjson

from streams.errors import BadInput, EnsueError, Overload
from streams.gateway.live.follow import Batch, Follow, Way
from streams.gateway.live.position import decode
from streams.gateway.live.reading import PositionGone
from streams.gateway.live.stream_filter import read_query
from streams.gateway.live.subscription import Ended
from streams.gateway.live.watched import while_there
from streams.gateway.problem import Problem, unavailable
from streams.gateway.request import Request, Send
from streams.gateway.ws.socket import INTERNAL, POLICY, TRY_AGAIN, PeerGone, Refused, WebSocket

PATH = "/events/stream"
SEND_WITHIN_S = 10.0
_RETRY_MS = 1_000
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
CODES = {"overrun": POLICY, "closing": TRY_AGAIN, "broken": INTERNAL}
_log = logging.getLogger(__name__)


class EventStream:
    """Both forms of the stream out; a reader that does not keep up is cut off and told so."""

    def __init__(self, follow: Follow, **bounds: int) -> None:
        self._follow = follow
        self._bounds = bounds

    async def server_sent(self, request: Request, send: Send, abort: Callable[[], None]) -> None:
        """Answer with events until the reader leaves; raises Problem before the first byte."""
        last = request.headers.get(b"last-event-id", b"").decode("latin-1")
        async with self._way(request.query, last) as way:
            out = _ServerSent(send, abort)
            await out.start()
            await while_there(out.run(way), _left(request))

    async def socket(self, socket: WebSocket) -> None:
        """Send frames until the reader leaves; raises Problem before the socket is open, then Refused."""
        async with self._way(socket.query, "") as way:
            await socket.accept()
            await while_there(_frames(socket, way), socket_left(socket))

    @asynccontextmanager
    async def _way(self, query: str, last: str) -> AsyncIterator[Way]:
        wanted, after = read_query(query)
        at = last or after  # a browser that comes back says both; the last seen is the later one
        try:
            start = decode(at, self._follow.log.partitions) if at else None
            way = await self._follow.begin(wanted.wants, start, **self._bounds)
        except PositionGone as gone:
            raise Problem(410, "position-gone", f"{gone}") from None
        except BadInput as error:
            raise Problem(400, "position", f"{error}.") from None
        except Overload as overload:
            raise unavailable("overload", f"{overload}.", retry_after_s=overload.retry_after_s) from None
        except (Ended, EnsueError) as error:
            raise unavailable("no-log", f"{error}") from None
        try:
            yield way
        finally:
            await way.close()


class _ServerSent:
    """The text of server-sent events."""

    def __init__(self, send: Send, abort: Callable[[], None]) -> None:
        self._send = send
        self._abort = abort

    async def start(self) -> None:
        await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await self._write(b"retry: %d\n\n" % _RETRY_MS)

    async def run(self, way: Way) -> None:
        try:
            async with aclosing(way.batches()) as batches:
                async for batch in batches:
                    await self._write(_text(batch))
        except Ended as ended:
            await self._end(ended.why, str(ended))
        except EnsueError as error:
            await self._end("broken", str(error))
        except PeerGone:
            return

    async def _end(self, why: str, text: str) -> None:
        data = orjson.dumps({"reason": why, "detail": text})
        try:
            await self._write(b"event: %s\ndata: %s\n\n" % (why.encode(), data))
            await self._write(b"", more=False)
        except PeerGone:
            return

    async def _write(self, body: bytes, *, more: bool = True) -> None:
        try:
            async with asyncio.timeout(SEND_WITHIN_S):
                await self._send({"type": "http.response.body", "body": body, "more_body": more})
        except TimeoutError:
            _log.info("a reader of %s took nothing for %g s and was cut off", PATH, SEND_WITHIN_S)
            self._abort()
            raise PeerGone from None


def _text(batch: Batch) -> bytes:
    """Return the batch; an id without data moves the reader's position on and is no event."""
    if not batch.events:
        return b": heartbeat\nid: %s\n\n" % batch.position.encode()
    parts = [b"id: %s\ndata: %s\n\n" % (out.position.encode(), out.event.ours) for out in batch.events]
    if batch.position != batch.events[-1].position:
        parts.append(b"id: %s\n\n" % batch.position.encode())
    return b"".join(parts)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _frames(socket: WebSocket, way: Way) -> None:
    try:
        async with aclosing(way.batches()) as batches:
            async for batch in batches:
                for out in batch.events:
                    frame = {"position": out.position, "event": orjson.Fragment(out.event.ours)}
                    await socket.send(frame)
                if not batch.events:
                    await socket.send({"position": batch.position})
    except Ended as ended:
        raise Refused(CODES[ended.why], f"{ended.why}: {ended}") from None
    except EnsueError as error:
        raise Refused(INTERNAL, f"broken: {error}") from None


async def socket_left(socket: WebSocket) -> None:
    """Return when the other side has closed; what it says meanwhile is passed over."""
    while await socket.receive() is not None:
        pass
