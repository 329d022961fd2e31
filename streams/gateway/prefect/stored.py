"""What a subscriber missed: stored events, oldest first, page by page (a port of the gateway)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from streams.gateway.live.event import LiveEvent
from streams.gateway.live.position import Positions


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which stored events.

    Attributes:
        since_us: Occurred not before this (µs since the epoch).
        until_us: Occurred not after this.
        below: Only what lies below these offsets of the log.
        names: Only events of these names, when there are any.
        prefixes: Only events whose names begin so, when there are any.
        after: (occurred in µs, id) of the last event of the page before.
        limit: At most so many.

    """

    since_us: int
    until_us: int
    below: Positions
    names: Sequence[str] = ()
    prefixes: Sequence[str] = ()
    after: tuple[int, str] = (-(1 << 62), "00000000-0000-0000-0000-000000000000")
    limit: int = 250


class StoredEvents(Protocol):
    """The store; calls block. Both raise Transport or Overload."""

    def stored_up_to(self) -> Positions:
        """Return the offsets of the events log below which everything is stored."""
        ...

    def page(self, wanted: Page) -> Sequence[LiveEvent]:
        """Return events by (occurred, id)."""
        ...
