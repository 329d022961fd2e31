"""Where a source that watches by itself puts what it saw."""

from collections.abc import Sequence
from typing import Protocol

from schemas.event import Event


class Publisher(Protocol):
    """The gateway's intake, as a source sees it."""

    async def publish(self, events: Sequence[Event]) -> None:
        """Return once all are acknowledged, in order; raises Overload or Transport: then send all again."""
        ...

    async def bury(self, raw: bytes, *, source: str, reason: str, error: str) -> str:
        """Keep what is unusable in the dead letters; return its id once acknowledged."""
        ...
