"""How far a partition's writes are acknowledged, and when to say so in a mark."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from streams.kafka.fenced import Row
from streams.router.ports import Mark, Writer

GROUPS_MAX = 8  # groups of rows on their way; more would only wait longer in the client's queue
GROUP_ROWS_MAX = 5_000  # so that all groups together stay below what a fenced producer takes


@dataclass(slots=True)
class _Group:
    """Rows written together, and what is true once they are acknowledged."""

    written: asyncio.Future[list[int]]
    next_offset: int  # all events below are routed
    mark: Mark | None = None


class Progress:
    """The groups on their way, oldest first; positions move only in their order."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._groups: deque[_Group] = deque()
        self.routed = 0  # the next event to route
        self.acknowledged = 0  # all events below have their candidates acknowledged
        self.marked = 0  # events_offset of the newest acknowledged mark

    def start(self, offset: int) -> None:
        """Begin at an offset where everything below is acknowledged and marked."""
        self.routed = self.acknowledged = self.marked = offset

    async def write(self, rows: Sequence[Row], next_offset: int, mark: Mark | None = None) -> None:
        """Write rows; waits while GROUPS_MAX are on their way. Raises Fenced or Transport."""
        self.reap()
        while len(rows) > GROUP_ROWS_MAX:
            await self._group(rows[:GROUP_ROWS_MAX], self.routed, None)
            rows = rows[GROUP_ROWS_MAX:]
        await self._group(rows, next_offset, mark)

    async def _group(self, rows: Sequence[Row], next_offset: int, mark: Mark | None) -> None:
        self.routed = next_offset
        if not rows:
            if self._groups:
                self._groups[-1].next_offset = next_offset
            else:
                self.acknowledged = next_offset
            return
        if len(self._groups) >= GROUPS_MAX:
            await asyncio.wait({self._groups[0].written})
            self.reap()
        written = asyncio.wrap_future(self._writer.write(rows))
        written.add_done_callback(_look)
        self._groups.append(_Group(written=written, next_offset=next_offset, mark=mark))

    def reap(self) -> None:
        """Take note of what is acknowledged. Raises Fenced or Transport when a write failed."""
        while self._groups and self._groups[0].written.done():
            group = self._groups.popleft()
            group.written.result()
            self.acknowledged = group.next_offset
            if group.mark is not None:
                self.marked = group.mark.events_offset

    async def settle(self) -> None:
        """Return once everything written is acknowledged. Raises Fenced or Transport."""
        while self._groups:
            await asyncio.wait({self._groups[0].written})
            self.reap()


def _look(written: "asyncio.Future[list[int]]") -> None:
    """Take note of a failure that nobody waits for any more: the tenure ended with an earlier one."""
    if not written.cancelled():
        written.exception()
