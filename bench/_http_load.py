"""HTTP load from one process: keep-alive connections, one request at a time on each, no library."""

import asyncio
import time
from collections.abc import Mapping
from typing import cast

STATUS_AT = len(b"HTTP/1.1 ")


class Connection(asyncio.Protocol):
    """Sends the next request as soon as the answer to the last one is complete."""

    def __init__(self, requests: "Load") -> None:
        self._load = requests
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._sent_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head_end = self._buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self._buffer[:head_end].lower()
        at = head.index(b"content-length:") + len(b"content-length:")
        line_end = head.find(b"\r\n", at)
        length = int(head[at : None if line_end < 0 else line_end])
        if len(self._buffer) < head_end + 4 + length:
            return
        self._load.answered(self._buffer[STATUS_AT : STATUS_AT + 3], time.perf_counter() - self._sent_s)
        self._buffer = self._buffer[head_end + 4 + length :]
        self._send()

    def _send(self) -> None:
        request = self._load.next()
        assert self._transport is not None
        if request is None:
            self._transport.close()
            self._load.closed()
            return
        self._sent_s = time.perf_counter()
        self._transport.write(request)


class Load:
    """As many requests as fit into a time, over some connections."""

    def __init__(self, requests: list[bytes], *, seconds: float, connections: int) -> None:
        self._requests = requests
        self._until_s = time.perf_counter() + seconds
        self._open = connections
        self._sent = 0
        self._done = asyncio.Event()
        self.statuses: dict[bytes, int] = {}
        self.latencies_ms: list[float] = []

    def next(self) -> bytes | None:
        """Return the next request, or None when the time is over."""
        if time.perf_counter() >= self._until_s:
            return None
        self._sent += 1
        return self._requests[self._sent % len(self._requests)]

    def answered(self, status: bytes, seconds: float) -> None:
        """Count an answer."""
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.latencies_ms.append(seconds * 1000)

    def closed(self) -> None:
        """Count a connection's end."""
        self._open -= 1
        if self._open == 0:
            self._done.set()

    async def run(self, port: int) -> None:
        """Return when every connection has ended."""
        loop = asyncio.get_running_loop()
        for _ in range(self._open):
            await loop.create_connection(lambda: Connection(self), "127.0.0.1", port)
        await self._done.wait()


def request(path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Return the bytes of a POST."""
    lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def post(body: bytes, content_type: bytes) -> bytes:
    """Return the bytes of a POST /events."""
    return b"POST /events HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (
        content_type,
        len(body),
        body,
    )
