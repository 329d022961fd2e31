"""One partition of the events log in one tenure: recover, then route.

docs/protocol.md, section "Router", says why each step comes where it does.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from flows.core.trigger import Trigger
from schemas.codec import Codec, UndecodableError
from schemas.record import EventRecord
from schemas.topics import Topics
from streams.clock import Clock
from streams.errors import Poison, Transport
from streams.kafka.fenced import Row
from streams.router.health import PartitionHealth
from streams.router.known_ids import KnownIds
from streams.router.ports import Definitions, KnownEvents, Logs, Mark, Stored, Writer
from streams.router.progress import Progress
from streams.router.rows import Rows
from streams.router.scan import Hit, Names, scan

log = logging.getLogger(__name__)
T = TypeVar("T")
Targets = list[tuple[Trigger, str]]
_RETRY_FIRST_S = 0.05
_RETRY_MAX_S = 2.0
_DEFINITIONS_WAIT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterLimits:
    """Bounds of one partition's routing.

    Attributes:
        ids_max: Ids remembered.
        ahead_max: Offsets routed beyond the newest acknowledged mark, at most: what a new owner may have
            to route again, and how long it keeps to the definitions of that mark.
        mark_every_s: Between marks while progressing.
        mark_idle_s: Between marks while idle, so that retention never takes the newest one.

    """

    ids_max: int = 200_000
    ahead_max: int = 100_000
    mark_every_s: float = 1.0
    mark_idle_s: float = 3600.0


class PartitionRouter:
    """Makes candidates of events. Every method raises Fenced or Transport when the tenure is over."""

    def __init__(
        self,
        partition: int,
        *,
        topics: Topics,
        codec: Codec,
        writer: Writer,
        logs: Logs,
        definitions: Definitions,
        known_events: KnownEvents,
        clock: Clock,
        health: PartitionHealth,
        limits: RouterLimits,
    ) -> None:
        self.partition = partition
        self.progress = Progress(writer)
        self._rows = Rows(topics, partition, codec.encode)
        self._codec = codec
        self._logs = logs
        self._definitions = definitions
        self._known_events = known_events
        self._clock = clock
        self._health = health
        self._limits = limits
        self._ids = KnownIds(limits.ids_max)
        self._horizon = 0  # below it a former owner may have routed: no change of definitions there
        self._mark_sent = 0
        self._mark_sent_s = clock.monotonic_s()

    async def recover(self) -> int:
        """Find out where to go on and under which definitions; return the first offset to route.

        The fence is open already, so nothing that is read here can still change.
        """
        mark = await self._logs.newest_mark(self.partition)
        low, high = await self._logs.bounds(self.partition)
        if mark is None:
            start, triggers_offset = low, self._definitions.position
        else:
            start, triggers_offset = mark.events_offset, mark.triggers_offset
            self._horizon = min(high, start + self._limits.ahead_max)
        if start < low:
            log.error("events[%d]: %d to %d are gone by retention, unrouted", self.partition, start, low)
            start = low
        await self._patiently("the triggers log", lambda: self._reached(triggers_offset))
        self._use(triggers_offset)
        await self._remember(low, start)
        self.progress.start(start)
        await self._mark(start, triggers_offset)
        return start

    async def _reached(self, triggers_offset: int) -> None:
        try:
            await asyncio.wait_for(self._definitions.reached(triggers_offset), _DEFINITIONS_WAIT_S)
        except TimeoutError:
            at = self._definitions.position
            raise Transport(
                f"the mark of events[{self.partition}] names definitions below {triggers_offset}, but the "
                f"triggers log is read up to {at}; was it made anew?"
            ) from None

    async def _remember(self, low: int, start: int) -> None:
        first = max(low, start - self._limits.ids_max)
        self._ids.start(first, self._clock.now_us() // 1000)
        began = False

        def take(batch: Sequence[Stored]) -> None:
            nonlocal began
            if not began:
                self._ids.start(first, batch[0].timestamp_ms)
                began = True
            self._ids.turn(batch[0].offset, batch[0].timestamp_ms)
            self._forget_unusable(scan(batch, self._ids, self._names).hits)

        if first < start:
            await self._logs.replay(self.partition, first, start, take)

    def _forget_unusable(self, hits: Sequence[Hit]) -> None:
        """Take back the ids that routing took back too."""
        unusable: set[str] = set()
        for hit in hits:
            try:
                self._codec.decode(hit.value, EventRecord)
            except UndecodableError:
                if not hit.duplicate or hit.id in unusable:
                    unusable.add(hit.id)
            except OSError as error:
                raise Transport(f"the registry does not answer: {error}") from error
            else:
                unusable.discard(hit.id)
        for number in unusable:
            self._ids.forget(number)

    def _use(self, triggers_offset: int) -> None:
        self.triggers_offset = triggers_offset
        self._index = self._definitions.in_force(triggers_offset)
        self._names = Names(lambda name: bool(self._index.by_name(name)))
        self._health.triggers_offset = triggers_offset

    async def route(self, batch: Sequence[Stored]) -> None:
        """Route a batch in log order; returns when its rows are on their way, not yet acknowledged."""
        while batch:
            first = batch[0].offset
            bound = self.progress.marked + self._limits.ahead_max
            if first >= bound:
                await self._mark(first, self.triggers_offset)
                continue
            await self._adopt(first)
            head, batch = _split(batch, self.progress.marked + self._limits.ahead_max)
            rows = await self._route(head)
            await self.progress.write(rows, head[-1].offset + 1)
            self._health.moved(self.progress.routed, self._clock.monotonic_s())
        await self.keep_up()

    async def keep_up(self) -> None:
        """Take note of acknowledgements, adopt new definitions, write the marks that are due."""
        self.progress.reap()
        await self._adopt(self.progress.routed)
        at, now_s = self.progress.acknowledged, self._clock.monotonic_s()
        advanced, since_s = at - self._mark_sent, now_s - self._mark_sent_s
        due = advanced > 0 and (
            since_s >= self._limits.mark_every_s or advanced >= self._limits.ahead_max // 2
        )
        if due or since_s >= self._limits.mark_idle_s:
            await self._send_mark(Mark(events_offset=at, triggers_offset=self.triggers_offset))

    async def _adopt(self, offset: int) -> None:
        """Go over to the newest definitions from `offset` on, once their mark is acknowledged everywhere."""
        newest = self._definitions.position
        if newest > self.triggers_offset and offset >= self._horizon:
            await self._mark(offset, newest)
            self._use(newest)

    async def _mark(self, offset: int, triggers_offset: int) -> None:
        await self.progress.settle()
        await self._send_mark(Mark(events_offset=offset, triggers_offset=triggers_offset))
        await self.progress.settle()

    async def _send_mark(self, mark: Mark) -> None:
        self._mark_sent, self._mark_sent_s = mark.events_offset, self._clock.monotonic_s()
        routed = max(self.progress.routed, mark.events_offset)
        await self.progress.write(self._rows.marks(mark), routed, mark)

    async def _route(self, batch: Sequence[Stored]) -> list[Row]:
        self._ids.turn(batch[0].offset, batch[0].timestamp_ms)
        found = scan(batch, self._ids, self._names)
        rows = [
            self._rows.dead_letter(u.record, reason=u.error.reason, problem=str(u.error))
            for u in found.unreadable
        ]
        for hit in found.hits:
            if not self._codec.knows(hit.value):
                await self._patiently("the schema registry", partial(self._learn, hit.value))
        matched = self._match(found.hits, rows)
        earlier = await self._earlier([hit for hit, _ in matched])
        for hit, targets in matched:
            duplicate = hit.duplicate or hit.id in earlier
            try:
                rows += self._rows.candidates(hit, targets, self.triggers_offset, duplicate=duplicate)
            except Poison as error:
                rows.append(self._rows.dead_letter(hit.record, reason=error.reason, problem=str(error)))
        return rows

    def _match(self, hits: Sequence[Hit], rows: list[Row]) -> list[tuple[Hit, Targets]]:
        """Return whom the events concern; adds a dead letter to `rows` where that cannot be said.

        The id of an event that cannot be used is taken back: a corrected one may follow, even in this batch.
        """
        matched = []
        unusable: set[str] = set()
        for hit in hits:
            duplicate = hit.duplicate and hit.id not in unusable
            try:
                targets = self._index.candidates(self._codec.decode(hit.value, EventRecord))
            except UndecodableError as error:
                problem, reason = str(error), error.reason
            except Exception as error:
                # Whatever one event does to matching, the events after it are routed.
                problem, reason = f"matching failed with {type(error).__name__}: {error}", "unroutable"
            else:
                unusable.discard(hit.id)
                if targets:
                    matched.append((hit._replace(duplicate=duplicate), targets))
                continue
            rows.append(self._rows.dead_letter(hit.record, reason=reason, problem=problem))
            if not duplicate:
                unusable.add(hit.id)
        for number in unusable:
            self._ids.forget(number)
        return matched

    async def _learn(self, framed: bytes) -> None:
        try:
            await asyncio.to_thread(self._codec.learn, framed)
        except UndecodableError:
            return  # decoding will say it again, where it becomes a dead letter
        except OSError as error:
            raise Transport(f"the registry does not answer: {error}") from error

    async def _earlier(self, hits: Sequence[Hit]) -> frozenset[str]:
        """Return the ids that only the store can know; waits for it as long as it takes, never guesses."""
        ask = {h.id for h in hits if not h.duplicate and self._ids.must_ask(h.id, h.record.timestamp_ms)}
        if not ask:
            return frozenset()
        before = self._ids.covers_from_offset
        return frozenset(
            await self._patiently(
                "the store",
                lambda: self._known_events.earlier(ask, partition=self.partition, before=before),
            )
        )

    async def _patiently(self, whom: str, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat `call` until `whom` answers; only this partition waits."""
        wait_s = _RETRY_FIRST_S
        while True:
            try:
                answer = await call()
            except Transport as error:
                self.progress.reap()
                self._health.waits_for(whom, str(error))
                log.info("events[%d] waits for %s: %s", self.partition, whom, error)
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, _RETRY_MAX_S)
            else:
                self._health.waits_for("", "")
                return answer


def _split(batch: Sequence[Stored], bound: int) -> tuple[Sequence[Stored], Sequence[Stored]]:
    """Cut a batch before the first offset that is not below `bound`."""
    if batch[-1].offset < bound:
        return batch, ()
    count = sum(record.offset < bound for record in batch)
    return batch[:count], batch[count:]
