"""uvicorn's protocol with bounds that it has not: on the head's bytes, its headers, and its time."""

import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from streams.gateway.problem import Problem
from streams.gateway.request import Receive, Scope, Send, answer_of, respond

HEAD_BYTES_MAX = 32 << 10
HEADERS_MAX = 100
HEAD_TIMEOUT_S = 10.0
BODY_TIMEOUT_S = 20.0  # from the head's first byte
KEEP_ALIVE_S = 20
ABORT = "ensue.abort"  # in the scope: ends the connection at once, what is unsent is dropped
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """Refuses heads that are too long with 431, and ends connections that are slow.

    The parser below keeps an unfinished header without limit, so bytes are counted while a head is open.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._whole_app = self.app
        self._head_open = True
        self._head_bytes = 0
        self._chunk_bytes = 0
        self._head_since_s: float | None = time.monotonic()
        self._body_since_s: float | None = None

    def data_received(self, data: bytes) -> None:
        """Count what an open head has cost so far."""
        before = self._head_open
        self._chunk_bytes = len(data)
        super().data_received(data)
        if before and self._head_open:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
                self.transport.write(_TOO_LONG)
                self.transport.close()

    def on_message_begin(self) -> None:
        """Open a head."""
        super().on_message_begin()
        self._head_open = True
        self._head_since_s = time.monotonic()

    def on_headers_complete(self) -> None:
        """Close the head, and choose who answers."""
        self._head_open = False
        self._head_bytes = 0
        self._body_since_s = self._head_since_s
        self._head_since_s = None
        too_long = self._chunk_bytes > HEAD_BYTES_MAX and self._head_size() > HEAD_BYTES_MAX
        self.app = _refuse if too_long or len(self.headers) > HEADERS_MAX else self._whole_app
        self.scope[ABORT] = self.transport.abort  # type: ignore[literal-required]
        super().on_headers_complete()

    def handle_websocket_upgrade(self) -> None:
        """Refuse a head that is too long for an upgrade, too."""
        if self.app is _refuse:
            self.transport.write(_TOO_LONG)
            self.transport.close()
        else:
            super().handle_websocket_upgrade()

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def on_message_complete(self) -> None:
        """The body is whole."""
        self._body_since_s = None
        super().on_message_complete()

    def end_if_slow(self, now_s: float) -> None:
        """End the connection when its head or its body takes too long."""
        if self.transport.is_closing():
            return
        if self._head_since_s is not None and now_s - self._head_since_s > HEAD_TIMEOUT_S:
            self.transport.close()
        elif self._body_since_s is not None and now_s - self._body_since_s > BODY_TIMEOUT_S:
            # The handler sees a sender that has gone; nobody else would answer.
            if not self.cycle.response_started:
                self.transport.write(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n")
            self.transport.close()


async def _refuse(_scope: Scope, _receive: Receive, send: Send) -> None:
    detail = f"More than {HEADERS_MAX} headers or {HEAD_BYTES_MAX} bytes of them."
    await respond(send, answer_of(Problem(431, "headers", detail, close=True)))
