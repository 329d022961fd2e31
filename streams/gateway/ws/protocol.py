"""uvicorn's WebSocket protocol with one promise more: a pong means that what came before it is done.

Prefect's client takes a pong for "everything sent before is safe" and forgets it then. A library answers a
ping as soon as it reads it; here a handler that asks for it (`HOLD` at accept) says how many messages are
settled (`SETTLED`), and a ping, or the peer's close, is answered only when all messages before it are.
"""

import logging
from collections import deque
from typing import Any

from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
from wsproto import events
from wsproto.connection import ConnectionState

from streams.gateway.protocol import ABORT

MESSAGE_BYTES_MAX = 2 << 20  # Prefect's client sends 1.5 MB at most
PING_EVERY_S = 20.0
PONG_WITHIN_S = 20.0
HOLD = "ensue.hold"  # of websocket.accept: pongs wait for what came before
SETTLED = "ensue.settled"  # a message of its own: {"messages": how many more are done with}
_PINGS_MAX = 16  # RFC 6455 5.5.3: answering the latest of several is enough
_log = logging.getLogger(__name__)
_log.setLevel(logging.WARNING)  # one line for each connection says nothing that the metrics do not


class HeldPingsProtocol(WSProtocol):
    """Answers pings and closes in the order of what was received, once that is settled."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _log
        self._hold = False
        self._received = 0
        self._settled = 0
        self._pings: deque[tuple[int, events.Ping]] = deque(maxlen=_PINGS_MAX)
        self._closing: events.CloseConnection | None = None

    async def run_asgi(self) -> None:
        """Run the application; it can end the connection by force."""
        self.scope[ABORT] = self.transport.abort  # type: ignore[literal-required]
        await super().run_asgi()

    def handle_message(self, event: events.TextMessage | events.BytesMessage) -> None:
        """Count whole messages."""
        super().handle_message(event)
        if event.message_finished and not self.close_sent:
            self._received += 1

    def handle_ping(self, event: events.Ping) -> None:
        """Answer it, now or when what came before is settled."""
        self._pings.append((self._received, event))
        self._answer()

    def handle_close(self, event: events.CloseConnection) -> None:
        """Answer it, now or when what came before is settled; the handler hears of it in any case."""
        if self._hold and not self.close_sent and self._settled < self._received:
            self._closing = event
            self.queue.put_nowait(
                {"type": "websocket.disconnect", "code": event.code, "reason": event.reason}
            )
        else:
            super().handle_close(event)

    def resume_writing(self) -> None:
        """Answer what waited for the peer to read."""
        super().resume_writing()
        self._answer()

    async def send(self, message: Any) -> None:
        """Understand SETTLED and HOLD, and hand the rest on."""
        if message["type"] == SETTLED:
            self._settled += message["messages"]
            self._answer()
            return
        if message["type"] == "websocket.accept":
            self._hold = message.get(HOLD, False)
        await super().send(message)

    def _answer(self) -> None:
        if self.close_sent or self.transport.is_closing():
            self._pings.clear()
            return
        done = self._settled if self._hold else self._received
        # A peer that pings and never reads must not make us buffer its pongs.
        while self._pings and self._pings[0][0] <= done and self.writable.is_set():
            _, ping = self._pings.popleft()
            if self.conn.state is ConnectionState.OPEN:
                self.transport.write(self.conn.send(ping.response()))
        if self._closing is not None and done >= self._received:
            if self.conn.state is ConnectionState.REMOTE_CLOSING:
                self.transport.write(self.conn.send(self._closing.response()))
            self.transport.close()
