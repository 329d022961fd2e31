"""What the gateway needs from the rest: a log to append to, a view into SQL, the sink's distance."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from streams.inbound import HookSource

Row = tuple[int, bytes, bytes]  # partition, key, value: a plain tuple, because bodies hold 100,000 of them


class EventLog(Protocol):
    """Kafka, as far as the gateway sees it."""

    async def append(self, topic: str, rows: Sequence[Row]) -> Sequence[int]:
        """Write rows in order; return the indices of those that were not acknowledged (none: all are).

        Raises Overload when nothing was taken in because too much is on its way already, and Transport
        when the outcome of all rows is unknown. Cancelling it abandons the wait, not the rows.
        """
        ...


class StoreProbe(Protocol):
    """Whether an event has arrived in SQL."""

    async def visible(self, event_id: str) -> bool:
        """Return whether a query finds the event; False, too, while the store does not answer."""
        ...


class SinkLag(Protocol):
    """How far the sink is behind, as part of what the log keeps."""

    async def share_of_retention(self) -> float:
        """Return the oldest unstored record's age as a share of retention: 0 is level, 1 is loss."""
        ...


Hooks = Mapping[str, HookSource]
