"""One thread that serves the delivery reports of all fenced producers of a process."""

import logging
import threading
import time
from functools import cache
from typing import Protocol

_IDLE_POLL_S = 0.5  # errors of an idle producer are noticed this late at most
_ONE_WAIT_S = 0.002  # how long a newly busy producer may wait for the one that is polled
_MANY_WAIT_S = 0.0005


log = logging.getLogger(__name__)


class Pumped(Protocol):
    """A producer whose callbacks run in the pump's thread."""

    def poll(self, timeout_s: float) -> int:
        """Run callbacks that are due; return how many ran."""
        ...


class Pump:
    """Polls busy producers at once and idle ones twice a second."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open: set[Pumped] = set()
        self._busy: set[Pumped] = set()
        self._thread: threading.Thread | None = None

    def add(self, producer: Pumped) -> None:
        """Serve `producer` from now on."""
        with self._changed:
            self._open.add(producer)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="fence-pump", daemon=True)
                self._thread.start()
            self._changed.notify()

    def remove(self, producer: Pumped) -> None:
        """Forget `producer`; a poll that is under way may still end."""
        with self._changed:
            self._open.discard(producer)
            self._busy.discard(producer)

    def busy(self, producer: Pumped) -> None:
        """`producer` has records on their way."""
        with self._changed:
            if producer in self._open:
                self._busy.add(producer)
                self._changed.notify()

    def idle(self, producer: Pumped) -> None:
        """`producer` has none left."""
        with self._changed:
            self._busy.discard(producer)

    def _run(self) -> None:
        polled_idle = time.monotonic()
        while True:
            with self._changed:
                if not self._busy:
                    self._changed.wait(_IDLE_POLL_S if self._open else None)
                now = time.monotonic()
                everyone = now - polled_idle >= _IDLE_POLL_S
                current = list(self._open if everyone else self._busy)
            if everyone:
                polled_idle = now
            try:
                if len(current) == 1:
                    current[0].poll(_ONE_WAIT_S)
                elif current and not sum(producer.poll(0) for producer in current):
                    time.sleep(_MANY_WAIT_S)
            except Exception:
                log.exception("a producer's callback failed; the others are served on")


@cache
def shared_pump() -> Pump:
    """Return the process's one pump."""
    return Pump()
