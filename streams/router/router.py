"""The router: a group member whose every partition is fenced, recovered and routed on its own.

A partition that waits or fails keeps no other one waiting: each is a task with its own producer, its own
position and its own share of the reader.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from schemas.codec import Codec
from schemas.topics import Topics
from streams.clock import Clock, SystemClock
from streams.errors import Transport
from streams.kafka.config import librdkafka_config
from streams.kafka.fenced import FencedProducer
from streams.kafka.log_record import LogRecord
from streams.kafka.reader import PartitionReader
from streams.router.health import PartitionHealth
from streams.router.logs import KafkaLogs
from streams.router.membership import Membership
from streams.router.partition import PartitionRouter, RouterLimits
from streams.router.ports import Definitions, KnownEvents, Logs
from streams.settings import KafkaSettings

log = logging.getLogger(__name__)
_IDLE_S = 0.25  # how late an acknowledgement, new definitions or a due mark are noticed without traffic
_AGAIN_S = 0.5
SLICE = 1000  # records routed before other partitions have their turn
_WAITING_MAX = 10_000  # records read ahead a partition
_FENCES_OPENING_MAX = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterOptions:
    """Names and bounds.

    Attributes:
        app: First part of transactional ids and of the group's id.
        pool: Routers of one pool share the partitions.
        session_timeout_s: Silence after which the group gives our partitions to others.
        limits: Of each partition.

    """

    app: str = "ensue"
    pool: str = "default"
    session_timeout_s: float = 10.0
    limits: RouterLimits = field(default_factory=RouterLimits)

    @property
    def group(self) -> str:
        """The consumer group's id."""
        return f"{self.app}.router.{self.pool}"

    def transactional_id(self, partition: int) -> str:
        """The fence of one partition of the events log (DESIGN 5.8)."""
        return f"{self.app}.router.{self.pool}.{partition}"


class Router:
    """`await run()` routes until `stop()` is called; it raises only when the group cannot be joined."""

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Topics,
        codec: Codec,
        *,
        definitions: Definitions,
        known_events: KnownEvents,
        options: RouterOptions | None = None,
        clock: Clock | None = None,
        logs: Logs | None = None,
    ) -> None:
        self._options = options or RouterOptions()
        self._client = librdkafka_config(settings)
        self._topics = topics
        self._codec = codec
        self._definitions = definitions
        self._known_events = known_events
        self._clock = clock or SystemClock()
        self._logs = logs or KafkaLogs(settings, topics, codec)
        self._membership = Membership(
            settings,
            self._options.group,
            topics.events.name,
            on_change=self._assigned,
            session_timeout_s=self._options.session_timeout_s,
        )
        self._health: dict[int, PartitionHealth] = {}
        self._holdings: dict[int, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Join the group and route; returns after `stop`, with everything committed and given back."""
        self._executor = ThreadPoolExecutor(_FENCES_OPENING_MAX, thread_name_prefix="router-fence")
        self._reader = PartitionReader(self._client, waiting_max=_WAITING_MAX)
        self._membership.start()
        try:
            while not self._stopped.is_set() and self._membership.failed is None:
                self._look_at_ends()
                try:
                    await asyncio.wait_for(self._stopped.wait(), _IDLE_S)
                except TimeoutError:
                    continue
        finally:
            self._assigned(frozenset())
            if self._ending:
                await asyncio.wait(set(self._ending))
            await self._membership.stop()
            await asyncio.to_thread(self._reader.close)
            await asyncio.to_thread(self._executor.shutdown)
        if self._membership.failed is not None:
            raise self._membership.failed

    def stop(self) -> None:
        """Ask `run` to end; call it on the loop."""
        self._stopped.set()

    def health(self) -> list[PartitionHealth]:
        """Return where each of our partitions stands."""
        return [self._health[partition] for partition in sorted(self._health)]

    def stuck(self, for_s: float) -> list[PartitionHealth]:
        """Return partitions with events to route, no step for `for_s` and nobody they wait for: a watchdog's.

        One is a fault of ours; the process had better be started anew.
        """
        now_s = self._clock.monotonic_s()
        return [h for h in self.health() if h.lag and not h.waiting_for and now_s - h.moved_s > for_s]

    def _look_at_ends(self) -> None:
        for seen in self._reader.progress():
            if seen.partition in self._health:
                self._health[seen.partition].end = max(seen.end, seen.position)

    def _assigned(self, ours: frozenset[int]) -> None:
        """Take what is new, drop what is gone."""
        for partition in [p for p in self._holdings if p not in ours]:
            task = self._holdings.pop(partition)
            self._health.pop(partition, None)
            task.cancel()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
        if not self._stopped.is_set():
            for partition in sorted(ours - self._holdings.keys()):
                self._health[partition] = PartitionHealth(partition=partition)
                self._holdings[partition] = asyncio.ensure_future(self._hold(partition))

    async def _hold(self, partition: int) -> None:
        """Own a partition for as long as the group assigns it here; cancelled when it no longer does."""
        health = self._health[partition]
        place = f"{self._topics.events.name}[{partition}]"
        while True:
            health.state, health.moved_s = "opening", self._clock.monotonic_s()
            try:
                await self._tenure(partition, health)
            except Transport as error:
                log.warning("%s is dropped: %s", place, error)
                health.waits_for("the broker", str(error))
            except Exception as error:
                log.exception("%s is dropped after an error of ours", place)
                health.waits_for("another try", repr(error))
            health.state = "lost"
            await self._held_again(partition)

    async def _held_again(self, partition: int) -> None:
        """Return once the broker says, afresh, that the partition is ours."""
        while True:
            await asyncio.sleep(_AGAIN_S)
            if await self._membership.still_holds(partition):
                return

    async def _tenure(self, partition: int, health: PartitionHealth) -> None:
        """Shut the former owner out, read back, route; never returns, raises why it ended."""
        fence = FencedProducer(self._client, self._options.transactional_id(partition))
        inbox = _Inbox()
        opening = self._executor.submit(fence.open)
        try:
            await asyncio.wrap_future(opening)
            health.state = "recovering"
            router = PartitionRouter(
                partition,
                topics=self._topics,
                codec=self._codec,
                writer=fence,
                logs=self._logs,
                definitions=self._definitions,
                known_events=self._known_events,
                clock=self._clock,
                health=health,
                limits=self._options.limits,
            )
            start = await router.recover()
            health.state = "routing"
            health.waits_for("", "")
            health.moved(start, self._clock.monotonic_s())
            self._reader.start(self._topics.events.name, partition, start, inbox.sink())
            while True:
                await self._serve(router, fence, inbox, health)
        finally:
            self._reader.stop(self._topics.events.name, partition)
            if opening.done():
                self._executor.submit(fence.close)
            else:  # cancelled meanwhile: one cannot close what is about to open
                opening.add_done_callback(lambda _: fence.close())

    async def _serve(
        self, router: PartitionRouter, fence: FencedProducer, inbox: "_Inbox", health: PartitionHealth
    ) -> None:
        batch = await inbox.take(_IDLE_S)
        if fence.lost is not None:
            raise fence.lost
        if batch:
            for at in range(0, len(batch), SLICE):
                await router.route(batch[at : at + SLICE])
                await asyncio.sleep(0)
            self._reader.taken(self._topics.events.name, router.partition, len(batch))
        else:
            await router.keep_up()
            health.moved(router.progress.routed, self._clock.monotonic_s())
        self._membership.commit(router.partition, router.progress.acknowledged)


class _Inbox:
    """Batches from the reader's thread to one partition's task; bounded by the reader's credits."""

    def __init__(self) -> None:
        self._batches: deque[Sequence[LogRecord]] = deque()
        self._arrived = asyncio.Event()

    def sink(self) -> Callable[[Sequence[LogRecord]], None]:
        """Return what the reader's thread hands batches to."""
        loop = asyncio.get_running_loop()

        def take(batch: Sequence[LogRecord]) -> None:
            loop.call_soon_threadsafe(self._put, batch)

        return take

    def _put(self, batch: Sequence[LogRecord]) -> None:
        self._batches.append(batch)
        self._arrived.set()

    async def take(self, timeout_s: float) -> Sequence[LogRecord]:
        """Return the next batch, or an empty one when none came in time."""
        if not self._batches:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), timeout_s)
            except TimeoutError:
                return ()
        return self._batches.popleft()
