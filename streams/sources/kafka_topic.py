"""Sources of kind `kafka`: an existing topic, on this cluster or another.

A record is committed only once its events, or its dead letter, are acknowledged. Whoever reads it again
makes the same ids, so it counts once. What cannot be used never holds up what comes behind it; what cannot be
read or written *now* does, and waits.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import orjson

from schemas.event import Event
from streams.clock import Clock, SystemClock
from streams.errors import EnsueError, Poison, Transport
from streams.kafka.dead_letter import RAW_BYTES_MAX
from streams.kafka.record import Record
from streams.kafka.topic_reader import TopicBatch, TopicFacts
from streams.sources.kafka_record import RecordReading, headers_of
from streams.sources.kafka_report import TopicReport, TopicReports
from streams.sources.ports import Publisher

_log = logging.getLogger(__name__)
T = TypeVar("T")
_TAKE_MAX, _TAKE_WAIT_S = 500, 0.2
_PART_RECORDS, _PART_BYTES = 200, 1 << 20  # decoded, and on their way to Kafka, at one time
_STAY_EVERY_S = 1.0
_RETRY_S, _RETRY_MAX_S = 0.2, 10.0
_ERROR_CHARS_MAX = 2000


class Topic(Protocol):
    """`streams.kafka.topic_reader.TopicReader`, as the source sees it."""

    async def open(self) -> TopicFacts:
        """Join the group; raises BadInput (refused, no such topic) or Transport."""
        ...

    async def take(self, count_max: int, wait_s: float) -> TopicBatch:
        """Return what is there; raises BadInput or Transport."""
        ...

    async def stay(self) -> None:
        """Remain a member while records wait to be done."""
        ...

    async def done(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Everything before these offsets may be committed."""
        ...

    async def close(self) -> None:
        """Commit and leave."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadRecord:
    """A record that cannot be used, and why."""

    record: Record
    reason: str
    error: str


class KafkaTopicWatch:
    """Reads one topic for ever.

    Args:
        name: The source's name.
        connect: Makes a reader that is not connected yet.
        reading: Makes the reading of records once the cluster's id is known; raises BadInput for a topic that
            must not be read (our own).
        publisher: Where events go.
        reports: Where lag and errors are shown.
        clock: The receiver's.

    """

    def __init__(
        self,
        name: str,
        *,
        connect: Callable[[], Topic],
        reading: Callable[[TopicFacts], Awaitable[RecordReading]],
        publisher: Publisher,
        reports: TopicReports,
        clock: Clock | None = None,
    ) -> None:
        self._name = name
        self._connect = connect
        self._reading = reading
        self._publisher = publisher
        self._reports = reports
        self._clock = clock or SystemClock()
        self._report = TopicReport()
        self._said = ""

    async def run(self) -> None:
        """Read until cancelled; whatever is away or missing is waited for."""
        self._report = self._reports.begin(self._name)
        wait_s = _RETRY_S
        try:
            while True:
                before = self._report.records
                topic = self._connect()
                try:
                    await self._read(topic)
                except EnsueError as error:
                    self._say(str(error))
                finally:
                    await topic.close()
                wait_s = _RETRY_S if self._report.records > before else min(2 * wait_s, _RETRY_MAX_S)
                await asyncio.sleep(wait_s)
        finally:
            self._reports.end(self._name, self._report)

    async def _read(self, topic: Topic) -> None:
        reading = await self._reading(await topic.open())
        while True:
            batch = await topic.take(_TAKE_MAX, _TAKE_WAIT_S)
            self._say(batch.away)
            for part in _parts(batch.records):
                await self._while_staying(topic, self._deliver(part, reading))
                self._report.records += len(part)
            if batch.positions:
                await topic.done(batch.positions)
            self._report.lag = {
                number: max(0, end - batch.positions.get((name, number), end))
                for (name, number), end in batch.ends.items()
            }

    async def _while_staying(self, topic: Topic, work: Coroutine[Any, Any, None]) -> None:
        """Do the work; when it takes long, show the group that we live."""
        task = asyncio.create_task(work)
        try:
            while not (await asyncio.wait({task}, timeout=_STAY_EVERY_S))[0]:
                await topic.stay()
            task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _deliver(self, records: Sequence[Record], reading: RecordReading) -> None:
        """Return once every record's events or dead letter are acknowledged."""
        at_s = self._clock.now_us() / 1_000_000
        events, dead = await self._patiently(lambda: asyncio.to_thread(_sorted_out, records, reading, at_s))
        if events:
            await self._patiently(lambda: self._publisher.publish(events))
        if dead:
            await self._patiently(lambda: self._bury(dead))
            self._report.unusable += len(dead)

    async def _bury(self, dead: Sequence[DeadRecord]) -> None:
        # All of them again after a failure: a place has one dead letter.
        await asyncio.gather(*(self._bury_one(one) for one in dead))

    async def _bury_one(self, dead: DeadRecord) -> None:
        record = dead.record
        text = f"source {self._name}: record {record.place}: {dead.error}"
        await self._publisher.bury(
            (record.value or b"")[:RAW_BYTES_MAX],
            source=self._name,
            reason=dead.reason,
            error=text[:_ERROR_CHARS_MAX],
            headers=orjson.dumps(dict(headers_of(record))).decode(),
            place=(record.topic, record.partition, record.offset),
        )

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat until it works: nothing is given up because a broker or a registry is away."""
        wait_s = _RETRY_S
        while True:
            try:
                return await call()
            except (EnsueError, OSError) as error:
                self._say(f"records wait: {error}")
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, _RETRY_MAX_S)

    def _say(self, error: str) -> None:
        """Show what is wrong, and log it when it is new."""
        if error and error != self._said:
            _log.warning("kafka source %s: %s", self._name, error)
        if error or self._said:
            if not error:
                _log.info("kafka source %s goes on", self._name)
            self._said = error
        self._report.error = error


def _sorted_out(
    records: Sequence[Record], reading: RecordReading, at_s: float
) -> tuple[list[Event], list[DeadRecord]]:
    events: list[Event] = []
    dead: list[DeadRecord] = []
    for record in records:
        try:
            taken = reading.taken(record, at_s)
        except (OSError, Transport):
            raise  # the registry is away: this passes
        except Poison as poison:
            dead.append(DeadRecord(record=record, reason=poison.reason, error=str(poison)))
        except Exception:
            _log.exception("a fault of ours while reading %s", record.place)
            error = "a fault of ours while reading it; it is in the gateway's log"
            dead.append(DeadRecord(record=record, reason="unusable_record", error=error))
        else:
            events += taken.events
            if taken.unusable:
                error = "; ".join(taken.unusable)
                dead.append(DeadRecord(record=record, reason="unusable_record", error=error))
    return events, dead


def _parts(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Yield the records in order, few enough at a time to be held decoded."""
    part: list[Record] = []
    size = 0
    for record in records:
        part.append(record)
        size += len(record.value or b"")
        if len(part) >= _PART_RECORDS or size >= _PART_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part
