"""Rows of many runs in few writes: what comes while one write is under way goes with the next.

A lone run waits for nobody; under load up to GROUP_MAX rows share one acknowledgement (DESIGN 5.10). Rows
are written in the order in which they were put, whoever put them.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial

from streams.errors import EnsueError, Transport
from streams.kafka.fenced import Row
from streams.runs.ports import Fence, Journal

GROUP_MAX = 256  # rows
GROUP_BYTES_MAX = 4 << 20
WRITES_MAX = 2  # under way at a time

_Put = tuple[Sequence[Row], "asyncio.Future[list[int]]"]


class GroupWriter:
    """One partition's writer, on one event loop; journal rows pass through the journal's map."""

    def __init__(self, fence: Fence, journal: Journal, journal_topic: str) -> None:
        self._fence = fence
        self._journal = journal
        self._journal_topic = journal_topic
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Put] = deque()  # bounded by what runs: each waits for its own rows
        self._under_way = 0
        self._scheduled = False
        self._lost: Exception | None = None

    def put(self, rows: Sequence[Row]) -> "asyncio.Future[list[int]]":
        """Write rows; resolves to their offsets. Fails with Transport when the partition is lost."""
        written: asyncio.Future[list[int]] = self._loop.create_future()
        written.add_done_callback(_heard)
        if self._lost is not None:
            written.set_exception(self._lost)
            return written
        self._waiting.append((rows, written))
        if not self._scheduled and self._under_way < WRITES_MAX:
            self._scheduled = True
            self._loop.call_soon(self._write)
        return written

    @property
    def lost(self) -> bool:
        """Whether nothing can be written any more: the partition goes to its next owner."""
        return self._lost is not None

    def close(self) -> None:
        """Write nothing more."""
        self._lose(Transport("the partition was dropped; its next owner goes on from the journal"))

    def _write(self) -> None:
        self._scheduled = False
        while self._waiting and self._under_way < WRITES_MAX and self._lost is None:
            group = self._next_group()
            rows = [row for some, _ in group for row in some]
            # Staged and given to the fence without a pause, so that the map and the log agree on the order.
            staged = [
                self._journal.stage(row.key or b"", row.value) if row.topic == self._journal_topic else row
                for row in rows
            ]
            try:
                written = self._fence.write(staged)
            except EnsueError as error:
                _fail(group, error)
                self._lose(error)
                return
            self._under_way += 1
            written.add_done_callback(partial(self._tell, group))
            self._journal.snapshot_if_due()

    def _next_group(self) -> list[_Put]:
        """Take what waits, up to the bounds; a single put is never split."""
        group: list[_Put] = []
        count = size_bytes = 0
        while self._waiting:
            rows = self._waiting[0][0]
            count += len(rows)
            size_bytes += sum(len(row.value or b"") for row in rows)
            if group and (count > GROUP_MAX or size_bytes > GROUP_BYTES_MAX):
                break
            group.append(self._waiting.popleft())
        return group

    def _tell(self, group: list[_Put], written: "Future[list[int]]") -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._written, group, written)

    def _written(self, group: list[_Put], written: "Future[list[int]]") -> None:
        self._under_way -= 1
        error = written.exception()
        if isinstance(error, Exception):
            _fail(group, error)
            self._lose(error)
            return
        offsets, at = written.result(), 0
        for rows, waiter in group:
            if not waiter.done():
                waiter.set_result(offsets[at : at + len(rows)])
            at += len(rows)
        self._write()

    def _lose(self, error: Exception) -> None:
        self._lost = self._lost or error
        _fail(self._waiting, error)
        self._waiting.clear()


def _fail(group: "Sequence[_Put] | deque[_Put]", error: Exception) -> None:
    for _, waiter in group:
        if not waiter.done():
            waiter.set_exception(error)


def _heard(written: "asyncio.Future[list[int]]") -> None:
    """Take note of a failure that nobody waits for: the partition's owner is told by the fence."""
    if not written.cancelled():
        written.exception()
