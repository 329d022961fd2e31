"""Which offset may be committed: the lowest unfinished one, never past it (DESIGN 5.10).

Faust's own tracker commits past a record that is still under way (#606), so it is not used.
"""

from heapq import heappop, heappush


class OffsetTracker:
    """Offsets of one partition under way; gaps between them mean nothing (markers, compaction)."""

    def __init__(self, committed: int) -> None:
        """Start at the group's committed offset, which is the next to be read."""
        self._next = committed  # everything below is finished
        self._open: list[int] = []  # a heap; finished ones are removed when they reach the top
        self._unfinished: set[int] = set()
        self._highest = committed - 1
        self._committed = committed

    @property
    def unfinished(self) -> int:
        """How many records are under way."""
        return len(self._unfinished)

    def started(self, offset: int) -> bool:
        """Note a record as read; return False for one that was read before (a redelivery)."""
        if offset <= self._highest:
            return False
        self._highest = offset
        self._unfinished.add(offset)
        heappush(self._open, offset)
        return True

    def finished(self, offset: int) -> None:
        """Note that what `offset` caused is durable."""
        self._unfinished.discard(offset)
        while self._open and self._open[0] not in self._unfinished:
            heappop(self._open)
        self._next = self._open[0] if self._open else self._highest + 1

    def due(self) -> int | None:
        """Return the offset to commit, or None when the last one stands."""
        return self._next if self._next > self._committed else None

    def committed(self, offset: int) -> None:
        """Note that the group holds `offset` now."""
        self._committed = max(self._committed, offset)
