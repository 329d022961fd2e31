"""The gateway in memory, for tests: a log that fails on demand and a client without a socket."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.routing import BaseRoute

from schemas.codec import fixed_codec
from schemas.event_type import EventTypes
from schemas.record import DeadLetter, EventRecord
from streams.errors import EnsueError
from streams.gateway.outbound import Outbound
from streams.gateway.ports import Hooks, Row
from streams.gateway.server import Served
from streams.inbound import BodyForm
from streams.settings import LimitSettings, Settings


@dataclass(slots=True)
class ListLog:
    """Keeps rows; `failing` are indices of the next append that are not acknowledged, `error` is raised."""

    rows: list[tuple[str, Row]] = field(default_factory=list)
    failing: Sequence[int] = ()
    error: EnsueError | None = None

    async def append(self, topic: str, rows: Sequence[Row]) -> Sequence[int]:
        """Keep rows."""
        if self.error is not None:
            raise self.error
        failing, self.failing = self.failing, ()
        self.rows += [(topic, row) for at, row in enumerate(rows) if at not in failing]
        return list(failing)

    def events(self) -> list[EventRecord]:
        """The events written so far."""
        codec = fixed_codec()
        return [codec.decode(row[2], EventRecord) for topic, row in self.rows if topic.endswith("events")]

    def dead_letters(self) -> list[DeadLetter]:
        """The dead letters written so far."""
        codec = fixed_codec()
        return [codec.decode(row[2], DeadLetter) for topic, row in self.rows if topic.endswith("letters")]


@dataclass(slots=True)
class View:
    """What SQL shows, and how far the sink is behind."""

    shown: bool = True
    lag: float = 0.0

    async def visible(self, _event_id: str) -> bool:
        """Whether the canary is there."""
        return self.shown

    async def share_of_retention(self) -> float:
        """The sink's lag."""
        return self.lag


class GatewayCase:
    """A gateway and its client."""

    def __init__(
        self,
        *,
        hooks: Hooks | None = None,
        outbound: Outbound | None = None,
        extra_routes: Sequence[BaseRoute] = (),
        form: BodyForm | None = None,
        types: EventTypes | None = None,
        **limits: Any,
    ) -> None:
        self.log = ListLog()
        self.view = View()
        self.served = Served(
            Settings(limits=LimitSettings(**limits)),
            log=self.log,
            codec=fixed_codec(),
            probe=self.view,
            lag=self.view,
            hooks={} if hooks is None else hooks,
            outbound=outbound,
            extra_routes=extra_routes,
            form=form,
            types=types,
        )

    async def request(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
    ) -> httpx.Response:
        """Send one request; headers as pairs may stand twice."""
        transport = httpx.ASGITransport(app=self.served.app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:4288") as client:
            return await client.request(method, path, content=content, headers=headers)  # type: ignore[arg-type]

    async def post(self, content: bytes, kind: str = "application/json", **headers: str) -> httpx.Response:
        """POST /events; header names with _ for -."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.request("POST", "/events", content, {"content-type": kind, **named})
