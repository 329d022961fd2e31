"""The one place from which the gateway calls out: over TLS, to known addresses, bounded, no redirects."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import httpx

from streams.errors import Poison, Transport
from streams.gateway.outbound_place import CONFIRMATIONS, KEYS, Place, address_in
from streams.gateway.outbound_transport import PublicTransport
from streams.inbound import Unauthenticated

TIMEOUT_S = 5.0
ANSWER_BYTES_MAX = 256 << 10
KEY_FRESH_S = 3600.0
ASKED_PER_MINUTE_MAX = 30
_MINUTE_S = 60.0
_REFUSAL_FRESH_S = 10.0
_KEPT_MAX = 64
# No packing: what a small packed answer grows to would be counted too late.
_HEADERS = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "ensue"}


class Outbound(Protocol):
    """What the door may fetch."""

    async def get(self, url: str) -> bytes:
        """Return the key that lies at `url`; raises Unreachable when it cannot be had now.

        Raises Unauthenticated when no key can lie at `url`, or the provider has none there.
        """
        ...

    async def confirm(self, url: str) -> None:
        """Ask for `url` once, as a sender wants it that makes sure of us.

        Raises Unreachable, and Poison when `url` is nothing that may be asked for, or is refused.
        """
        ...


class Refused(Exception):
    """The provider answered, and the answer is no."""


class Unreachable(Transport):
    """The provider does not answer, or was asked too often; the sender may send the same again."""


class HttpsOutbound:
    """GET over TLS on known addresses: each key once at a time, 30 requests a minute at most.

    Senders choose the addresses, before anything of theirs is proved: what they can make us do is bounded.
    """

    def __init__(
        self,
        *,
        keys: Sequence[Place] = KEYS,
        confirmations: Sequence[Place] = CONFIRMATIONS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`transport` is another network than the internet."""
        self._keys, self._confirmations = keys, confirmations
        self._http = httpx.AsyncClient(
            timeout=TIMEOUT_S,
            follow_redirects=False,
            trust_env=False,
            headers=_HEADERS,
            transport=transport or PublicTransport(),
        )
        self._under_way: dict[str, asyncio.Task[bytes | Exception]] = {}
        self._refusals: dict[str, tuple[float, Exception]] = {}
        self._asked_s: deque[float] = deque(maxlen=ASKED_PER_MINUTE_MAX)

    def allows(self, url: str) -> bool:
        """Tell whether the address may be asked for."""
        return address_in((*self._keys, *self._confirmations), url) is not None

    async def get(self, url: str) -> bytes:
        """As the port says; whoever wants the same key meanwhile waits for the same answer."""
        address = address_in(self._keys, url)
        if address is None:
            raise Unauthenticated("its key lies where no key of the provider lies")
        refusal = self._refusals.get(url)
        if refusal is not None and refusal[0] > _now_s():
            raise refusal[1].with_traceback(None)
        task = self._under_way.get(url)
        if task is None:
            task = self._under_way[url] = asyncio.create_task(self._found(url, address))
            task.add_done_callback(lambda _: self._under_way.pop(url, None))
        found = await asyncio.shield(task)  # one sender that hangs up must not take the others' answer along
        if isinstance(found, Exception):
            raise found.with_traceback(None)
        return found

    async def _found(self, url: str, address: httpx.URL) -> bytes | Exception:
        try:
            return await self._ask(address)
        except Refused as refused:
            error: Exception = Unauthenticated(f"its key cannot be had: {refused}")
        except Unreachable as failed:
            error = failed
        while len(self._refusals) >= _KEPT_MAX:
            self._refusals.pop(next(iter(self._refusals)))
        self._refusals[url] = (_now_s() + _REFUSAL_FRESH_S, error)
        return error

    async def confirm(self, url: str) -> None:
        """As the port says; what is answered does not matter."""
        address = address_in(self._confirmations, url)
        if address is None:
            text = "the address to confirm at is none of the provider's; nothing was asked"
            raise Poison(text, reason="unusable_record")
        try:
            await self._ask(address)
        except Refused as refused:
            text = f"the confirmation was refused ({refused}); let the provider send a new one"
            raise Poison(text, reason="unusable_record") from None

    async def _ask(self, address: httpx.URL) -> bytes:
        """Return the answer's body; raises Refused or Unreachable. No text holds the query: it has tokens."""
        now_s = _now_s()
        if len(self._asked_s) == ASKED_PER_MINUTE_MAX and now_s - self._asked_s[0] < _MINUTE_S:
            raise Unreachable(
                f"{ASKED_PER_MINUTE_MAX} addresses were asked for within a minute; try again later"
            )
        self._asked_s.append(now_s)
        place = f"{address.host}{address.path}"[:200]
        try:
            async with asyncio.timeout(TIMEOUT_S), self._http.stream("GET", address) as answer:
                return await _body(answer, place)
        except (httpx.HTTPError, TimeoutError) as error:
            raise Unreachable(f"{place} does not answer ({type(error).__name__})") from None

    async def close(self) -> None:
        """Close the connections."""
        for task in list(self._under_way.values()):
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)
        await self._http.aclose()


class NoOutbound:
    """For those who must not call out: everything is refused."""

    async def get(self, url: str) -> bytes:
        """Refuse."""
        del url
        raise Unauthenticated("keys are not fetched here")

    async def confirm(self, url: str) -> None:
        """Refuse."""
        del url
        raise Poison("nothing is confirmed here", reason="unusable_record")


class FetchedKeys:
    """Keys that were fetched, for an hour each; implements `streams.inbound.Keys`."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[float, bytes]] = {}

    def get(self, url: str) -> bytes | None:
        """Return the key, None when it is unknown or older than an hour."""
        found = self._found.get(url)
        if found is None or found[0] < _now_s():
            return None
        return found[1]

    def keep(self, url: str, key: bytes) -> None:
        """Remember a key; the oldest makes room."""
        self._found.pop(url, None)
        while len(self._found) >= _KEPT_MAX:
            self._found.pop(next(iter(self._found)))
        self._found[url] = (_now_s() + KEY_FRESH_S, key)


async def _body(answer: httpx.Response, place: str) -> bytes:
    status = answer.status_code
    if answer.is_server_error or status == httpx.codes.TOO_MANY_REQUESTS:
        raise Unreachable(f"{place} answers {status}")
    if status != httpx.codes.OK:
        raise Refused(f"{place} answers {status}")
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise Refused(f"{place} answers in an encoding that was not asked for")
    body = bytearray()
    async for part in answer.aiter_bytes():
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            raise Refused(f"{place} answers more than {ANSWER_BYTES_MAX} bytes")
    return bytes(body)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
