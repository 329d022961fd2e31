"""The log in memory: the same writing and reading, no broker. For unit tests and the testing harness.

What it does not do: groups, fencing, compaction, retention, time-outs.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Self

from streams.clock import Clock, SystemClock
from streams.errors import EnsueError, Transport
from streams.kafka.batches import BEGINNING, END
from streams.kafka.completion import Outcome
from streams.kafka.in_flight import InFlight
from streams.kafka.record import Delivery, Headers, Outgoing, Place, Record


class MemoryLog:
    """Topics of fixed partitions; thread-safe.

    Args:
        partitions: count per topic name; a topic that is not named does not exist.
        clock: gives the append times.

    """

    def __init__(self, partitions: Mapping[str, int], clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._changed = threading.Condition()
        self._logs: dict[Place, list[Record]] = {
            (topic, partition): [] for topic, count in partitions.items() for partition in range(count)
        }

    def append(self, outgoing: Outgoing) -> Delivery:
        """Write one record; raises Transport when there is no such partition."""
        with self._changed:
            log = self.records(outgoing.topic, outgoing.partition)
            topic, partition, key, value, headers = outgoing
            record = Record(
                topic, partition, len(log), self._clock.now_us() // 1000, key, value, tuple(headers or ())
            )
            log.append(record)
            self._changed.notify_all()
        return Delivery(partition, record.offset, record.timestamp_ms)

    def records(self, topic: str, partition: int) -> list[Record]:
        """Everything in a partition, oldest first; the list itself."""
        try:
            return self._logs[topic, partition]
        except KeyError:
            raise Transport(f"there is no {topic}[{partition}] in this log") from None

    def wait(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Return when `ready()` holds after some append, or the time is over."""
        with self._changed:
            self._changed.wait_for(ready, timeout_s)


class MemoryProducer:
    """Writes into a MemoryLog; answers at once, or when told, or with the failure it was given.

    Attributes:
        held: while true, records are taken but neither written nor answered until `release`.
        failure: raised to whoever waits for an answer in place of writing.

    """

    def __init__(self, log: MemoryLog, *, count_max: int = 200_000, bytes_max: int = 128 << 20) -> None:
        self.held = False
        self.failure: EnsueError | None = None
        self._log = log
        self._in_flight = InFlight(count_max=count_max, bytes_max=bytes_max)
        self._waiting: list[Callable[[], None]] = []

    @property
    def healthy(self) -> bool:
        """Whether writes succeed."""
        return self.failure is None

    @property
    def in_flight(self) -> int:
        """Records taken and not yet answered."""
        return self._in_flight.count

    def produce(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
    ) -> "Future[Delivery]":
        """Take one record."""
        future: Future[Delivery] = Future()

        def done(outcomes: list[Outcome]) -> None:
            outcome = outcomes[0]
            if isinstance(outcome, EnsueError):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        self.produce_batch([Outgoing(topic, partition, key, value, headers)], done)
        return future

    def produce_batch(self, records: Sequence[Outgoing], on_done: Callable[[list[Outcome]], None]) -> None:
        """Take all or none."""
        size_bytes = sum(record.bytes for record in records)
        self._in_flight.add(len(records), size_bytes)

        def write() -> None:
            outcomes = [self._write(record) for record in records]
            self._in_flight.remove(len(records), size_bytes)
            on_done(outcomes)

        if self.held:
            self._waiting.append(write)
        else:
            write()

    async def send(self, record: Outgoing) -> Delivery:
        """Write one record and return where it is."""
        outcome = (await self.send_batch([record]))[0]
        if isinstance(outcome, EnsueError):
            raise outcome
        return outcome

    async def send_batch(self, records: Sequence[Outgoing]) -> list[Outcome]:
        """Write records together and wait until each has its outcome."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Outcome]] = loop.create_future()

        def resolve(outcomes: list[Outcome]) -> None:
            if not future.done():  # its task may have been cancelled
                future.set_result(outcomes)

        def done(outcomes: list[Outcome]) -> None:
            loop.call_soon_threadsafe(resolve, outcomes)

        self.produce_batch(records, done)
        return await future

    def release(self) -> None:
        """Write and answer what was held, in order."""
        self.held = False
        waiting, self._waiting = self._waiting, []
        for write in waiting:
            write()

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Return whether everything had its answer within the time."""
        return self._in_flight.wait_empty(timeout_s)

    def close(self, timeout_s: float = 10.0) -> None:
        """Answer what is held."""
        del timeout_s
        self.release()

    def _write(self, record: Outgoing) -> Outcome:
        if self.failure is not None:
            return self.failure
        try:
            return self._log.append(record)
        except Transport as error:
            return error


class MemoryReader:
    """Reads a MemoryLog as LogReader reads Kafka."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._positions: dict[Place, int] = {}
        self._paused: set[Place] = set()

    @property
    def positions(self) -> Mapping[Place, int]:
        """Next offset of every assigned partition."""
        return self._positions

    def assign(self, offsets: Mapping[Place, int]) -> None:
        """Read exactly these partitions from these offsets."""
        self._positions = {place: self._real(place, offset) for place, offset in offsets.items()}
        self._paused.clear()

    def consume(self, count_max: int = 1000, timeout_s: float = 0.1) -> list[Record]:
        """Return what is there, waiting only for the first record."""
        deadline_s = time.monotonic() + timeout_s
        self._log.wait(lambda: bool(self._available()), max(0.0, deadline_s - time.monotonic()))
        batch: list[Record] = []
        for place in self._available():
            at = self._positions[place]
            taken = self._log.records(*place)[at : at + count_max - len(batch)]
            batch += taken
            self._positions[place] = at + len(taken)
            if len(batch) == count_max:
                break
        return batch

    def watermarks(self, topic: str, partition: int) -> tuple[int, int]:
        """Return (0, offset after the last)."""
        return 0, len(self._log.records(topic, partition))

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Continue an assigned partition elsewhere."""
        if (topic, partition) not in self._positions:
            raise Transport(f"{topic}[{partition}] could not be moved to offset {offset}: it is not assigned")
        self._positions[topic, partition] = self._real((topic, partition), offset)

    def pause(self, places: Sequence[Place]) -> None:
        """Stop handing out records of these partitions."""
        self._paused.update(places)

    def resume(self, places: Sequence[Place]) -> None:
        """Hand out their records again."""
        self._paused.difference_update(places)

    def lag(self) -> Mapping[Place, int]:
        """Offsets between position and end of every assigned partition."""
        return {place: len(self._log.records(*place)) - at for place, at in self._positions.items()}

    def close(self) -> None:
        """End reading."""
        self._positions = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _available(self) -> list[Place]:
        return [
            place
            for place, at in self._positions.items()
            if place not in self._paused and at < len(self._log.records(*place))
        ]

    def _real(self, place: Place, offset: int) -> int:
        if offset == BEGINNING:
            return 0
        if offset == END:
            return len(self._log.records(*place))
        return offset
