"""Whose turn it is: runs that wait for a slot of the worker, one lane after the other.

A lane is one flow of one partition, so that ten thousand runs of a flow do not keep the run of another one
waiting. Everything runs on one event loop.
"""

from collections import deque
from typing import Protocol


class Starter(Protocol):
    """A partition's runs."""

    def start(self, run_id: str) -> None:
        """Start a run whose turn it is; `RunQueue.release` must follow exactly once."""
        ...


class RunQueue:
    """Turns for `turns` runs at a time, and what is unfinished in all. One for each worker.

    Turns are a few more than the executor's slots: the next job is ready when a slot becomes free.
    """

    def __init__(self, turns: int) -> None:
        self._free = turns
        self._stopped = False
        self._lanes: dict[tuple[Starter, str], deque[str]] = {}
        self._order: deque[tuple[Starter, str]] = deque()
        self.unfinished = 0  # of all partitions, waiting or not
        self.unfinished_bytes = 0  # of their requests

    @property
    def waiting(self) -> int:
        """Runs that wait for their turn."""
        return sum(len(lane) for lane in self._lanes.values())

    def add(self, starter: Starter, lane: str, run_id: str) -> None:
        """Let a run wait for its turn, which may be now; bounded by the claims that a worker holds."""
        key = (starter, lane)
        waiting = self._lanes.get(key)
        if waiting is None:
            waiting = self._lanes[key] = deque()
            self._order.append(key)
        waiting.append(run_id)
        self._give_turns()

    def release(self) -> None:
        """Give a turn back."""
        self._free += 1
        self._give_turns()

    def stop(self) -> None:
        """Give no turns any more: the executor is stopping, who waits will be taken up by the next worker."""
        self._stopped = True

    def forget(self, starter: Starter) -> None:
        """Drop all that wait for a partition."""
        gone = {key for key in self._lanes if key[0] is starter}
        for key in gone:
            del self._lanes[key]
        self._order = deque(key for key in self._order if key not in gone)

    def _give_turns(self) -> None:
        while self._free and self._order and not self._stopped:
            key = self._order.popleft()
            lane = self._lanes[key]
            run_id = lane.popleft()
            if lane:
                self._order.append(key)
            else:
                del self._lanes[key]
            self._free -= 1
            key[0].start(run_id)
