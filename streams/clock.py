"""The clock port of the edges; the trigger core never sees one."""

import time
from typing import Protocol


class Clock(Protocol):
    """Where now comes from; tests put their own in."""

    def now_us(self) -> int:
        """Return µs since the epoch, UTC."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds that never go back, for time-outs."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_us(self) -> int:
        """Return µs since the epoch, UTC."""
        return time.time_ns() // 1000

    def monotonic_s(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()
