"""A source of any kind in a gateway in memory, for tests of schemes and forms."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import httpx

from schemas.event import Event
from schemas.event_record import to_event
from streams.errors import Transport
from streams.inbound import Unauthenticated
from streams.sources.kinds import hook_source
from streams.sources.trust import Trust
from tests.gateway_case import GatewayCase

# Keys with everything that encodings stumble over; the last has 1,024 bytes.
ODD_KEYS = (
    "plain.csv",
    "with space.csv",
    "plus+plus.csv",
    "100%.csv",
    "literal%20percent.csv",
    "a/b//c/",
    "é/ü/ß.csv",
    "日本語/파일.txt",
    "emoji 🎉👩‍💻.json",
    "amp&equals=question?hash#.txt",
    'quote"back\\slash.txt',
    "tab\tline\n.txt",
    "../../etc/passwd",
    "é" * 512,
)


@dataclass(slots=True)
class KnownKeys:
    """Implements the gateway's port `Outbound` over what is given; remembers what was asked for."""

    found: Mapping[str, bytes] = field(default_factory=dict)
    away: bool = False
    asked: list[str] = field(default_factory=list)
    confirmed: list[str] = field(default_factory=list)

    async def get(self, url: str) -> bytes:
        """Return what is given."""
        self.asked.append(url)
        if self.away:
            raise Transport("nobody answers")
        if url not in self.found:
            raise Unauthenticated("no key lies there")
        return self.found[url]

    async def confirm(self, url: str) -> None:
        """Remember it."""
        self.confirmed.append(url)


class SourceCase:
    """One source at /hooks/it."""

    def __init__(self, kind: str, trust: Trust | None = None, outbound: KnownKeys | None = None) -> None:
        believed = trust or Trust()
        self.outbound = outbound or KnownKeys()
        self.gateway = GatewayCase(
            hooks={"it": hook_source(kind, "it", lambda: believed)}, outbound=self.outbound
        )

    async def send(
        self,
        body: object,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        *,
        query: str = "",
        method: str = "POST",
    ) -> httpx.Response:
        """Deliver a body: bytes as they are, else as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = [("content-type", "application/json")] if headers is None else headers
        pairs = list(sent.items()) if isinstance(sent, Mapping) else list(sent)
        if headers is not None and not any(name.lower() == "content-type" for name, _ in pairs):
            pairs.append(("content-type", "application/json"))
        latin = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
        path = "/hooks/it" + (f"?{query}" if query else "")
        return await self.gateway.request(method, path, raw, latin)  # type: ignore[arg-type]

    def events(self) -> list[Event]:
        """The events written so far."""
        return [to_event(record) for record in self.gateway.log.events()]

    def only(self) -> Event:
        """The one event written so far."""
        (event,) = self.events()
        return event

    def reasons(self) -> list[str]:
        """Why there are dead letters."""
        return [letter.reason for letter in self.gateway.log.dead_letters()]

    @property
    def empty(self) -> bool:
        """Whether nothing at all was written."""
        return not self.gateway.log.rows
