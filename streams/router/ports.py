"""What the router asks of others; wiring brings the real ones, tests their own."""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from flows.core.index import TriggerIndex
from streams.kafka.fenced import Row


class Stored(Protocol):
    """One record of a log; `Record` and `LogRecord` of streams.kafka both are."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp_ms(self) -> int: ...
    @property
    def value(self) -> bytes | None: ...


class Definitions(Protocol):
    """The triggers log as followed by this process."""

    @property
    def position(self) -> int:
        """Offset after the last definition read."""
        ...

    async def reached(self, triggers_offset: int) -> None:
        """Return once everything below `triggers_offset` is read."""
        ...

    def in_force(self, triggers_offset: int) -> TriggerIndex:
        """Return the triggers defined below `triggers_offset`, which is reached, compiled."""
        ...


class KnownEvents(Protocol):
    """What the store remembers of events whose ids are older than any window."""

    async def earlier(self, ids: Collection[str], *, partition: int, before: int) -> Collection[str]:
        """Return those ids that stand in `partition` of the events log below offset `before`.

        Raises Transport when the store does not answer, or has not stored everything below `before` yet.
        """
        ...


class Writer(Protocol):
    """A fenced producer in its tenure (streams.kafka.fenced)."""

    def write(self, rows: Sequence[Row]) -> "Future[list[int]]":
        """Write rows in order; resolves when all are acknowledged, else Fenced or Transport."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far a partition is routed, and under which definitions it goes on from there."""

    events_offset: int  # all events below have their candidates acknowledged
    triggers_offset: int  # in force for the events from there on


class Logs(Protocol):
    """Reading back what was written, at recovery. Every call raises Transport when the broker is away."""

    async def bounds(self, partition: int) -> tuple[int, int]:
        """Return (first offset, offset after the last) of a partition of the events log."""
        ...

    async def newest_mark(self, partition: int) -> Mark | None:
        """Return the newest mark of an events partition, or None when none was ever written."""
        ...

    async def replay(
        self, partition: int, start: int, end: int, take: Callable[[Sequence[Stored]], None]
    ) -> None:
        """Hand the events at start ≤ offset < end to `take`, in order and in batches."""
        ...
