"""One request to an ASGI application, byte for byte as a server would hand it over; no client between."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

HANG_S = 30.0  # far more than any answer takes, even where others keep the machine busy


@dataclass(slots=True)
class Got:
    """An answer; status 0 when none was given."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        """The body's value."""
        return json.loads(self.body)


Pairs = Sequence[tuple[bytes, bytes]]


def pairs(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Return headers as they go over the wire."""
    return [(name.lower().encode("latin-1"), value.encode("utf-8")) for name, value in headers.items()]


async def send(
    app: Any,
    method: str,
    path: str,
    headers: Pairs = (),
    body: bytes | Sequence[bytes] = b"",
    *,
    query: bytes = b"",
) -> Got:
    """Send a request whose body comes in the given parts; raises TimeoutError when no answer comes."""
    parts = [body] if isinstance(body, bytes) else list(body) or [b""]
    messages = [
        {"type": "http.request", "body": part, "more_body": at < len(parts) - 1}
        for at, part in enumerate(parts)
    ]
    messages.reverse()
    got = Got()

    async def receive() -> dict[str, Any]:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def answer(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            got.status = message["status"]
            got.headers = {
                bytes(name).decode("latin-1"): bytes(value).decode("latin-1")
                for name, value in message["headers"]
            }
        else:
            got.body += message.get("body", b"")

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "query_string": query,
        "root_path": "",
        "headers": [*(() if any(n == b"host" for n, _ in headers) else ((b"host", b"127.0.0.1"),)), *headers],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 4288),
    }
    async with asyncio.timeout(HANG_S):
        await app(scope, receive, answer)
    return got
