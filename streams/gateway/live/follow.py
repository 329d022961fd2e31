"""A subscriber's way: from where it stood through the log to now, then live; no gap, no repeat.

History is read by a reading of its own, at the subscriber's pace. Close to the end the subscriber joins the
hub; the hub's positions at that moment divide the two exactly: the reading gives what lies before them, the
hub everything from there on.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from streams.errors import Overload
from streams.gateway.live.hub import Hub
from streams.gateway.live.opening import open_reading
from streams.gateway.live.position import Positions, decode, encode
from streams.gateway.live.reading import LiveLog, Reading
from streams.gateway.live.subscription import Out, Subscription, Wanted

CATCHING_UP_MAX = 8
HEARTBEAT_S = 15.0
_SLOT_WITHIN_S = 10.0
_CLOSE_ENOUGH = 2_000  # offsets: what is left is read while live events wait
_BATCH_MAX = 500
_WAIT_S = 0.1

T = TypeVar("T")


class Batch(NamedTuple):
    """Events to send, maybe none, and where their reader stands after them."""

    events: Sequence[Out]
    position: str


class Follow:
    """Makes ways; the threads and places for catching up are shared."""

    def __init__(self, log: LiveLog, hub: Hub, *, heartbeat_s: float = HEARTBEAT_S) -> None:
        self.log = log
        self.hub = hub
        self._heartbeat_s = heartbeat_s
        self.threads = ThreadPoolExecutor(CATCHING_UP_MAX, thread_name_prefix="live-catch-up")
        self._places = asyncio.Semaphore(CATCHING_UP_MAX)

    async def begin(self, wanted: Wanted, after: Positions | None, **bounds: int) -> "Way":
        """Begin after a position, or with what comes from now on.

        Raises PositionGone, Overload, Ended, Transport or BadInput; else call `close` when done.
        """
        way = Way(self, wanted, bounds)
        try:
            if after is None:
                await way.join()
            else:
                await way.go_back(after)
        except BaseException:
            await way.close()
            raise
        return way

    async def place(self) -> None:
        """Wait for a place to catch up; raises Overload."""
        try:
            async with asyncio.timeout(_SLOT_WITHIN_S):
                await self._places.acquire()
        except TimeoutError:
            raise Overload(f"{CATCHING_UP_MAX} readers catch up already; connect again later") from None

    def give_place_back(self) -> None:
        """Let the next one catch up."""
        self._places.release()

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Run what blocks."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, call)

    @property
    def heartbeat_s(self) -> float:
        """How long nothing may be said."""
        return self._heartbeat_s

    async def close(self) -> None:
        """End everybody's way."""
        await self.hub.close()
        self.threads.shutdown(wait=False)


class Way:
    """One subscriber's."""

    def __init__(self, shared: Follow, wanted: Wanted, bounds: dict[str, int]) -> None:
        self._shared = shared
        self._wanted = wanted
        self._bounds = bounds
        self._subscription: Subscription | None = None
        self._reading: Reading | None = None
        self._joined_at: Positions = ()
        self._ahead = False

    async def join(self) -> None:
        """Listen to the hub from now on."""
        self._subscription = await self._shared.hub.subscribe(self._wanted, **self._bounds)
        self._joined_at = self._shared.hub.positions
        if self._reading is not None:
            # Whoever comes from another gateway may be ahead of this one's tail.
            self._joined_at = _later(self._joined_at, self._reading.start)
            self._ahead = self._joined_at != self._shared.hub.positions

    async def go_back(self, after: Positions) -> None:
        """Open the log at a position."""
        await self._shared.place()
        try:
            self._reading = await open_reading(self._shared.log, after, self._shared.threads)
        except BaseException:
            self._shared.give_place_back()
            raise

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """Yield what is wanted, for ever, and an empty batch when there is nothing for a while.

        Raises Ended, Transport or BadInput.
        """
        if self._reading is not None:
            async for batch in self._history(self._reading):
                yield batch
            await self._leave_history()
        yield Batch((), encode(self._joined_at))
        while True:
            yield await self._live_batch()

    async def _live_batch(self) -> Batch:
        subscription, hub, joined_at = self._subscription, self._shared.hub, self._joined_at
        assert subscription is not None
        events = await subscription.take(self._shared.heartbeat_s)
        # Whatever was handed out so far has been taken, so the hub stands where this reader stands.
        position = _later(hub.positions, joined_at)
        if self._ahead:
            partitions = len(joined_at)
            events = [
                Out(event, encode(_later(decode(text, partitions), joined_at)))
                for event, text in events
                if event.offset >= joined_at[event.partition]
            ]
            self._ahead = hub.positions != position
        return Batch(events, encode(position))

    async def _history(self, reading: Reading) -> AsyncGenerator[Batch, None]:
        at = list(reading.start)
        while True:
            steps = await self._shared.in_thread(lambda: reading.take(_BATCH_MAX, _WAIT_S))
            events = []
            for partition, offset, event in steps:
                if self._subscription is not None and offset >= self._joined_at[partition]:
                    continue  # the hub gives it
                at[partition] = offset + 1
                if event is not None and self._wanted(event):
                    events.append(Out(event, encode(at)))
            yield Batch(events, encode(at))
            if self._subscription is None:
                if reading.behind() < _CLOSE_ENOUGH:
                    await self.join()
            elif _later(passed := reading.passed(), self._joined_at) == passed:
                return

    async def _leave_history(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None:
            self._shared.give_place_back()
            await asyncio.to_thread(reading.close)

    async def close(self) -> None:
        """Leave."""
        await self._leave_history()
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await self._shared.hub.unsubscribe(subscription)


def _later(one: Positions, other: Positions) -> Positions:
    return tuple(map(max, one, other))
