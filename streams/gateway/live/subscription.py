"""What waits for one subscriber: bounded, and when it is full the subscriber is cut off."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from streams.gateway.live.event import LiveEvent

EVENTS_MAX = 1_000
BYTES_MAX = 4 << 20

Wanted = Callable[[LiveEvent], bool]


class Out(NamedTuple):
    """An event to send, and where its reader stands after it."""

    event: LiveEvent
    position: str


class Ended(Exception):
    """Nothing more comes.

    Attributes:
        why: `overrun` (read too slowly), `closing` (the gateway stops) or `broken` (the log cannot be read).

    """

    def __init__(self, why: str, text: str) -> None:
        super().__init__(text)
        self.why = why


class Subscription:
    """Filled by the hub, emptied by its subscriber, both on the event loop."""

    def __init__(self, wanted: Wanted, *, events_max: int = EVENTS_MAX, bytes_max: int = BYTES_MAX) -> None:
        self.wanted = wanted
        self._events_max = events_max
        self._bytes_max = bytes_max
        self._waiting: deque[Out] = deque()
        self._bytes = 0
        self._some = asyncio.Event()
        self._ended: Ended | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more is taken."""
        return self._ended is not None

    def offer(self, out: Out) -> None:
        """Add an event; when there is no room, end and drop everything."""
        if self._ended is not None:
            return
        self._bytes += out.event.size_bytes
        if len(self._waiting) >= self._events_max or (self._waiting and self._bytes > self._bytes_max):
            text = f"{len(self._waiting)} events waited unread; read faster, or ask for less. Connect again"
            self.end(Ended("overrun", f"{text} from the last position."))
            return
        self._waiting.append(out)
        self._some.set()

    def end(self, ended: Ended) -> None:
        """End with a reason; what waits is dropped: its reader comes back for it."""
        if self._ended is None:
            self._ended = ended
            self._waiting.clear()
            self._some.set()

    async def take(self, within_s: float) -> Sequence[Out]:
        """Return everything that waits, empty when nothing came in time; raises Ended."""
        if not self._waiting and self._ended is None:
            self._some.clear()
            try:
                async with asyncio.timeout(within_s):
                    await self._some.wait()
            except TimeoutError:
                pass
        if self._ended is not None:
            raise self._ended
        taken = list(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        return taken
