"""What a producer has taken and the broker has not yet answered: bounded by count and by bytes."""

import threading
import time

from streams.errors import Overload


class InFlight:
    """Counts records and bytes; refuses at once when a bound would be passed. Thread-safe."""

    def __init__(self, *, count_max: int, bytes_max: int) -> None:
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._changed = threading.Condition()
        self._count = 0
        self._bytes = 0

    @property
    def count(self) -> int:
        """Records without an answer."""
        return self._count

    @property
    def bytes(self) -> int:
        """Their bytes."""
        return self._bytes

    def add(self, count: int, size_bytes: int) -> None:
        """Take all of it or raise Overload and take nothing."""
        with self._changed:
            if self._count + count > self._count_max or self._bytes + size_bytes > self._bytes_max:
                raise Overload(
                    f"{self._count} records ({self._bytes} bytes) wait for Kafka's acknowledgement; "
                    f"{count} more ({size_bytes} bytes) would pass the bound of {self._count_max} records "
                    f"or {self._bytes_max} bytes. Nothing was taken; send it again in a second"
                )
            self._count += count
            self._bytes += size_bytes

    def remove(self, count: int, size_bytes: int) -> None:
        """Give back what has an answer."""
        with self._changed:
            self._count -= count
            self._bytes -= size_bytes
            if self._count == 0:
                self._changed.notify_all()

    def wait_empty(self, timeout_s: float) -> bool:
        """Return whether everything had an answer within the time."""
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            return self._changed.wait_for(lambda: self._count == 0, max(0.0, deadline_s - time.monotonic()))
