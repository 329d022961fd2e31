"""The one place from which the gateway calls out: over TLS, to allowed hosts, bounded, no redirects."""

import asyncio
import re
from collections.abc import Sequence
from typing import Protocol
from urllib.parse import urlsplit

import httpx

from streams.errors import Transport

TIMEOUT_S = 5.0
ANSWER_BYTES_MAX = 256 << 10
KEY_FRESH_S = 3600.0
_KEYS_MAX = 64
# Where providers keep their certificates, key sets and confirmations; the whole host name must match.
HOSTS = (
    r"sns\.[a-z0-9-]{1,40}\.amazonaws\.com(\.cn)?",
    r"www\.googleapis\.com",
    r"login\.microsoftonline\.com",
)


class Outbound(Protocol):
    """What the door may fetch."""

    async def get(self, url: str) -> bytes:
        """Return the key that lies at `url`; raises Transport when it cannot be had, or may not be asked for.

        Raises Unauthenticated where what may be believed is known beforehand and `url` is not part of it.
        """
        ...

    async def confirm(self, url: str) -> None:
        """Ask for `url` once, as a sender wants it that makes sure of us; raises Transport."""
        ...


class HttpsOutbound:
    """GET over TLS, on hosts that match one of `hosts` as a whole."""

    def __init__(
        self, hosts: Sequence[str] = HOSTS, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._hosts = [re.compile(host) for host in hosts]
        self._http = httpx.AsyncClient(
            timeout=TIMEOUT_S, follow_redirects=False, trust_env=False, transport=transport
        )
        self._one_at_a_time = asyncio.Lock()

    def allows(self, url: str) -> bool:
        """Tell whether the address may be asked for: https, its own port, no user, a known host."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return False
        host = parts.hostname or ""
        return (
            parts.scheme == "https"
            and port in {None, 443}
            and parts.username is None
            and parts.password is None
            and any(pattern.fullmatch(host) for pattern in self._hosts)
        )

    async def get(self, url: str) -> bytes:
        """As the port says."""
        if not self.allows(url):
            raise Transport(f"{url[:200]} is on no host that may be asked")
        async with self._one_at_a_time:  # a flood of deliveries must not become a flood of requests
            try:
                async with asyncio.timeout(TIMEOUT_S), self._http.stream("GET", url) as answer:
                    body = bytearray()
                    async for part in answer.aiter_bytes():
                        body += part
                        if len(body) > ANSWER_BYTES_MAX:
                            raise Transport(f"{url[:200]} answers more than {ANSWER_BYTES_MAX} bytes")
            except (httpx.HTTPError, TimeoutError) as error:
                raise Transport(f"{url[:200]} does not answer ({type(error).__name__})") from None
        if answer.status_code != httpx.codes.OK:
            raise Transport(f"{url[:200]} answers {answer.status_code}")
        return bytes(body)

    async def confirm(self, url: str) -> None:
        """As the port says; what is answered does not matter."""
        await self.get(url)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


class NoOutbound:
    """For those who must not call out: everything is refused."""

    async def get(self, url: str) -> bytes:
        """Refuse."""
        raise Transport(f"{url[:200]} is not asked here")

    async def confirm(self, url: str) -> None:
        """Refuse."""
        raise Transport(f"{url[:200]} is not asked here")


class FetchedKeys:
    """Keys that were fetched, for an hour each; implements `streams.inbound.Keys`."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[float, bytes]] = {}

    def get(self, url: str) -> bytes | None:
        """Return the key, None when it is unknown or older than an hour."""
        found = self._found.get(url)
        if found is None or found[0] < asyncio.get_running_loop().time():
            return None
        return found[1]

    def keep(self, url: str, key: bytes) -> None:
        """Remember a key; the oldest makes room."""
        while len(self._found) >= _KEYS_MAX:
            self._found.pop(next(iter(self._found)))
        self._found[url] = (asyncio.get_running_loop().time() + KEY_FRESH_S, key)
