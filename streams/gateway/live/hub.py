"""One tail of the events log for all subscribers: begun with the first of them, ended with the last."""

import asyncio
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future

from streams.errors import EnsueError, Overload
from streams.gateway.live.event import LiveEvent
from streams.gateway.live.opening import open_reading
from streams.gateway.live.position import Positions, encode
from streams.gateway.live.reading import LiveLog, PositionGone, Reading, Step
from streams.gateway.live.subscription import Ended, Out, Subscription, Wanted

SUBSCRIBERS_MAX = 256
_BATCH_MAX = 500
_STEPS_A_TURN = 100
_WAIT_S = 0.1
_CLOSING = "The gateway stops; connect again from the last position."
_log = logging.getLogger(__name__)


class Hub:
    """Reads in a thread, hands out on the event loop; the thread waits for each batch to be handed out."""

    def __init__(self, log: LiveLog, *, subscribers_max: int = SUBSCRIBERS_MAX) -> None:
        self._log = log
        self._subscribers_max = subscribers_max
        self._subscribers: dict[Subscription, None] = {}
        self._positions: list[int] = []
        self._tail: _Tail | None = None
        self._changing = asyncio.Lock()
        self._closed = False

    @property
    def positions(self) -> Positions:
        """Next offsets of what was handed out; meaningful while somebody is subscribed."""
        return tuple(self._positions)

    @property
    def reads(self) -> bool:
        """Whether the tail runs."""
        return self._tail is not None

    async def subscribe(self, wanted: Wanted, **bounds: int) -> Subscription:
        """Begin to listen; everything at or behind `positions`, as they are on return, will be offered.

        Raises Overload when there are too many, Ended while the gateway stops, Transport without a broker.
        """
        async with self._changing:
            if self._closed:
                raise Ended("closing", _CLOSING)
            if len(self._subscribers) >= self._subscribers_max:
                raise Overload(f"{len(self._subscribers)} are subscribed, the most there may be; come later")
            if self._tail is None:
                try:
                    reading = await open_reading(self._log, None)
                except PositionGone as gone:  # the end moved back between two questions
                    raise Overload(f"{gone}") from None
                self._positions = list(reading.start)
                self._tail = _Tail(self, reading)
            subscription = Subscription(wanted, **bounds)
            self._subscribers[subscription] = None
            return subscription

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Stop listening; the last one ends the tail."""
        self._subscribers.pop(subscription, None)
        async with self._changing:
            if not self._subscribers:
                await self._end_tail()

    async def close(self) -> None:
        """End all subscriptions and take no more."""
        self._closed = True
        self.end_all(Ended("closing", _CLOSING))
        async with self._changing:
            await self._end_tail()

    def end_all(self, ended: Ended) -> None:
        """Tell every subscriber that nothing more comes."""
        for subscription in self._subscribers:
            subscription.end(ended)
        self._subscribers.clear()

    async def broken(self, tail: "_Tail", error: BaseException) -> None:
        """Give up a tail that cannot go on; the next subscriber begins another one."""
        async with self._changing:
            if self._tail is tail:
                self.end_all(Ended("broken", f"The log cannot be read: {error}. Connect again."))
                await self._end_tail()

    async def hand_out(self, steps: Sequence[Step]) -> None:
        """Offer each event to those who want it, in the log's order."""
        for count, (partition, offset, event) in enumerate(steps, 1):
            self._positions[partition] = offset + 1
            if event is not None:
                takers = [one for one in self._subscribers if _wants(one, event)]
                if takers:
                    out = Out(event, encode(self._positions))
                    for one in takers:
                        one.offer(out)
                        if one.ended:
                            del self._subscribers[one]
            if count % _STEPS_A_TURN == 0:
                await asyncio.sleep(0)

    async def _end_tail(self) -> None:
        tail, self._tail = self._tail, None
        if tail is not None:
            await tail.stop()


def _wants(one: Subscription, event: LiveEvent) -> bool:
    """Ask a subscriber's filter; one that fails ends its own subscription and nobody else's."""
    try:
        return one.wanted(event)
    except Exception:
        _log.exception("a subscriber's filter failed at the event %s", event.record.id)
        one.end(Ended("broken", f"Your filter cannot be applied to the event {event.record.id}."))
        return True  # so that it is dropped below


class _Tail:
    """The thread."""

    def __init__(self, hub: Hub, reading: Reading) -> None:
        self._hub = hub
        self._reading = reading
        self._loop = asyncio.get_running_loop()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live-tail", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """End the thread; what it reads meanwhile is not handed out."""
        self._stopping.set()
        await asyncio.to_thread(self._reading.close)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                steps = self._reading.take(_BATCH_MAX, _WAIT_S)
                if steps and not self._stopping.is_set():
                    self._wait(asyncio.run_coroutine_threadsafe(self._hub.hand_out(steps), self._loop))
        except (EnsueError, OSError) as error:
            if not self._stopping.is_set():
                _log.warning("the live tail ends: %s", error)
                self._tell(error)
        except Exception as error:
            _log.exception("a fault of ours in the live tail")
            self._tell(error)

    def _tell(self, error: BaseException) -> None:
        if not self._loop.is_closed():
            asyncio.run_coroutine_threadsafe(self._hub.broken(self, error), self._loop)

    def _wait(self, handed_out: "Future[None]") -> None:
        while not self._stopping.is_set():
            try:
                handed_out.result(_WAIT_S)
            except TimeoutError:
                continue
            except CancelledError:
                self._stopping.set()
            return
