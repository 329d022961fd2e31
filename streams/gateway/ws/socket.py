"""A WebSocket as handlers see it: whole messages as bytes, sends with a bound in time."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from streams.gateway.problem import Problem
from streams.gateway.protocol import ABORT
from streams.gateway.request import PROBLEM_JSON, Receive, Scope, Send
from streams.gateway.ws.protocol import HOLD, SETTLED

SEND_WITHIN_S = 10.0
_REASON_BYTES_MAX = 123  # RFC 6455 5.5: a control frame has 125, two are the code

NORMAL = 1000
PROTOCOL_ERROR = 1002
POLICY = 1008
INTERNAL = 1011
TRY_AGAIN = 1013


class PeerGone(Exception):
    """The other side closed, or does not read what we send: there is nobody to talk to."""


class Refused(Exception):
    """The conversation cannot go on.

    Attributes:
        code: WebSocket close code.

    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class WebSocket:
    """One connection; a single task reads, a single task sends."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.path: str = scope["path"]
        self.query: str = scope["query_string"].decode("latin-1")
        self.headers: Mapping[bytes, bytes] = dict(scope["headers"])
        self.subprotocols: Sequence[str] = scope["subprotocols"]
        self._abort: Callable[[], None] | None = scope.get(ABORT)
        self._receive = receive
        self._send = send
        self._accepted = False
        self._over = False

    async def accept(self, *, subprotocol: str | None = None, hold: bool = False) -> None:
        """Open it; with `hold` pings are answered only as messages are settled."""
        await self._within({"type": "websocket.accept", "subprotocol": subprotocol, HOLD: hold})
        self._accepted = True

    async def receive(self) -> bytes | None:
        """Return the next message, or None when the other side has closed or is gone."""
        while True:
            message = await self._receive()
            if message["type"] == "websocket.receive":
                text: str | None = message.get("text")
                data: bytes = text.encode() if text is not None else message["bytes"]
                return data
            if message["type"] == "websocket.disconnect":
                self._over = True
                return None

    async def settle(self, messages: int) -> None:
        """Say that so many more messages are done with, so that pings after them may be answered."""
        await self._send({"type": SETTLED, "messages": messages})

    async def send(self, document: Any) -> None:
        """Send a JSON document as text; raises PeerGone."""
        await self.send_text(orjson.dumps(document).decode())

    async def send_text(self, text: str) -> None:
        """Send a text; raises PeerGone."""
        await self._within({"type": "websocket.send", "text": text})

    async def close(self, code: int, reason: str = "") -> None:
        """Close with a reason."""
        if self._over:
            return
        self._over = True
        text = reason.encode()[:_REASON_BYTES_MAX].decode(errors="ignore")
        await self._within({"type": "websocket.close", "code": code, "reason": text})

    async def refuse(self, problem: Problem) -> None:
        """Answer the upgrade with a refusal; close, when it was accepted already."""
        if self._accepted:
            await self.close(TRY_AGAIN if problem.status == 503 else POLICY, problem.detail)
            return
        self._over = True
        headers = [(b"content-type", PROBLEM_JSON), (b"connection", b"close"), *problem.headers]
        start = {"type": "websocket.http.response.start", "status": problem.status, "headers": headers}
        await self._within(start)
        await self._within({"type": "websocket.http.response.body", "body": problem.body()})

    def abort(self) -> None:
        """End the connection at once; what is not sent yet is dropped."""
        self._over = True
        if self._abort is not None:
            self._abort()

    async def _within(self, message: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(SEND_WITHIN_S):
                await self._send(message)
        except TimeoutError:
            self.abort()
            raise PeerGone from None
        except OSError:  # uvicorn's ClientDisconnected is one
            raise PeerGone from None
