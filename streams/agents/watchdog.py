"""Ends a worker that no longer works: the supervisor's restart is the recovery of choice.

Kafka clients are known to hang for good (facts: aiokafka, librdkafka and Faust each have such reports), and
a hung worker that still heartbeats keeps its partitions from everybody else.
"""

import faulthandler
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence

from streams.kafka.reader import PartitionReader, Progress

STUCK_S = 30.0  # records are there and the position does not move
SILENT_S = 60.0  # no poll came back
EXIT_STUCK = 70
_LOOK_EVERY_S = 5.0

log = logging.getLogger(__name__)


def complaint(
    now_s: float, *, progress: Sequence[Progress], heard_s: dict[str, float], stuck_s: float, silent_s: float
) -> str | None:
    """Say what is wrong, or None; all times are `time.monotonic()`.

    Args:
        now_s: the time to judge by.
        progress: of every partition that is read.
        heard_s: when each part last showed life, by its name.
        stuck_s: how long a partition with records may stand still.
        silent_s: how long a part may be silent.

    """
    for name, at_s in heard_s.items():
        if now_s - at_s > silent_s:
            return f"{name} has been silent for {now_s - at_s:.0f} s"
    for one in progress:
        if one.lag > 0 and now_s - one.moved_s > stuck_s:
            return (
                f"{one.topic}[{one.partition}] stands at {one.position} of {one.end} "
                f"for {now_s - one.moved_s:.0f} s"
            )
    return None


class Watchdog:
    """A thread of its own, so that a blocked event loop is seen too."""

    def __init__(
        self,
        reader: PartitionReader,
        heard_s: Callable[[], dict[str, float]],
        *,
        stuck_s: float = STUCK_S,
        silent_s: float = SILENT_S,
        end: Callable[[int], None] = os._exit,
    ) -> None:
        self._reader = reader
        self._heard_s = heard_s
        self._stuck_s = stuck_s
        self._silent_s = silent_s
        self._end = end
        self._stopped = threading.Event()
        self._looked_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(_LOOK_EVERY_S):
            now_s = time.monotonic()
            slept_s, self._looked_s = now_s - self._looked_s, now_s
            if slept_s > 2 * _LOOK_EVERY_S:
                continue  # the whole process was paused: give everybody one round to show life
            self._reader.ask_ends(self._stuck_s / 2)
            found = complaint(
                time.monotonic(),
                progress=self._reader.progress(),
                heard_s={**self._heard_s(), "the reader": self._reader.polled_s},
                stuck_s=self._stuck_s,
                silent_s=self._silent_s,
            )
            if found:
                log.critical("%s; stacks follow, then this worker ends to be started again", found)
                faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
                self._end(EXIT_STUCK)
                return
