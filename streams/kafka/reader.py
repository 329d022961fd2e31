"""One consumer thread for all partitions a worker owns; who owns what is decided elsewhere.

Each partition is read from an explicit offset and handed on in log order without omission: assignment and
position live in this thread alone, so no batch can straddle a change of either. A partition with more than
`waiting_max` records handed on but not yet taken is put aside and taken up again where it stopped.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from streams.kafka.log_record import LogRecord, from_message

_BATCH_MAX = 2_000
_ASK_S = 5.0
_WAIT_S = 0.05  # how late a change of assignment is noticed on idle partitions
WAITING_MAX = 4_096
COMMANDS_MAX = 10_000
_OUT_OF_RANGE = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)  # noqa: SLF001 - librdkafka's

log = logging.getLogger(__name__)

Sink = Callable[[Sequence[LogRecord]], None]

_PROPERTIES: Mapping[str, Any] = {
    "group.id": "ensue-reader",  # the library asks for one; nothing is ever joined or committed
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "isolation.level": "read_uncommitted",
    "auto.offset.reset": "error",  # said, then mended: see _go_on_at_the_beginning
    "enable.partition.eof": True,
    "fetch.wait.max.ms": 50,
    "fetch.queue.backoff.ms": 5,
    "fetch.message.max.bytes": 1 << 20,
    "queued.max.messages.kbytes": 32_768,
}


@dataclass(slots=True)
class _Reading:
    """One partition under way."""

    sink: Sink
    position: int  # the next offset to hand on
    waiting: int = 0  # handed on, not yet taken
    aside: bool = False
    end: int = -1  # high watermark as last seen
    moved_s: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a partition has been read."""

    topic: str
    partition: int
    position: int
    end: int
    waiting: int
    moved_s: float  # monotonic time of the last step

    @property
    def lag(self) -> int:
        """Offsets between position and end (markers included)."""
        return max(self.end - self.position, 0)


class PartitionReader:
    """Reads what it is told to; `start` and `stop` may be called from any thread."""

    def __init__(self, client: Mapping[str, Any], *, waiting_max: int = WAITING_MAX) -> None:
        self._consumer: Any = Consumer({**_PROPERTIES, **client})
        self._waiting_max = waiting_max
        self._commands: queue.Queue[Callable[[], None]] = queue.Queue(COMMANDS_MAX)
        self._readings: dict[tuple[str, int], _Reading] = {}
        self._closed = threading.Event()
        self._polled_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="partition-reader", daemon=True)
        self._thread.start()

    @property
    def polled_s(self) -> float:
        """Monotonic time of the last completed poll."""
        return self._polled_s

    def start(self, topic: str, partition: int, offset: int, sink: Sink) -> None:
        """Hand records from `offset` on to `sink`, which runs in the reader's thread and must not block."""
        self._commands.put(lambda: self._start(topic, partition, _Reading(sink, offset)))

    def stop(self, topic: str, partition: int) -> None:
        """Hand nothing more on; a batch may still be on its way while this is carried out."""
        self._commands.put(lambda: self._stop(topic, partition))

    def taken(self, topic: str, partition: int, count: int) -> None:
        """Say that `count` records handed on are done with, so that more may follow."""
        self._commands.put(lambda: self._taken(topic, partition, count))

    def progress(self) -> list[Progress]:
        """Return how far every partition has been read."""
        return [
            Progress(
                topic=t, partition=p, position=r.position, end=r.end, waiting=r.waiting, moved_s=r.moved_s
            )
            for (t, p), r in list(self._readings.items())
        ]

    def ask_ends(self, still_for_s: float) -> None:
        """Ask the broker for the ends of partitions that stand still for so long; blocks."""
        before_s = time.monotonic() - still_for_s
        for place, reading in list(self._readings.items()):
            if reading.moved_s < before_s:
                try:
                    _, end = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=_ASK_S)
                except KafkaException:
                    continue  # the broker is away: nothing stands still that could move
                except RuntimeError:
                    if self._closed.is_set():  # meanwhile, by its own thread
                        return
                    raise
                if end > reading.end:
                    reading.end, reading.moved_s = end, time.monotonic()

    def close(self) -> None:
        """End the thread; blocks for a poll at most."""
        self._closed.set()
        self._thread.join(timeout=10)

    def _start(self, topic: str, partition: int, reading: _Reading) -> None:
        self._stop(topic, partition)
        self._readings[topic, partition] = reading
        self._consumer.incremental_assign([TopicPartition(topic, partition, reading.position)])

    def _stop(self, topic: str, partition: int) -> None:
        reading = self._readings.pop((topic, partition), None)
        if reading is not None and not reading.aside:
            self._consumer.incremental_unassign([TopicPartition(topic, partition)])

    def _taken(self, topic: str, partition: int, count: int) -> None:
        reading = self._readings.get((topic, partition))
        if reading is None:
            return
        reading.waiting = max(reading.waiting - count, 0)
        reading.moved_s = time.monotonic()
        if reading.aside and reading.waiting <= self._waiting_max // 2:
            reading.aside = False
            self._consumer.incremental_assign([TopicPartition(topic, partition, reading.position)])

    def _run(self) -> None:
        while not self._closed.is_set():
            self._obey()
            head = self._consumer.poll(_WAIT_S)
            self._polled_s = time.monotonic()
            if head is not None:
                self._hand_on((head, *self._consumer.consume(_BATCH_MAX, 0)))
        self._consumer.close()

    def _obey(self) -> None:
        for _ in range(COMMANDS_MAX):
            try:
                command = self._commands.get_nowait()
            except queue.Empty:
                return
            command()

    def _hand_on(self, messages: Sequence[Any]) -> None:
        batches: dict[tuple[str, int], list[LogRecord]] = {}
        for message in messages:
            place = (message.topic(), message.partition())
            reading = self._readings.get(place)
            if reading is None or reading.aside:
                continue
            if message.error() is not None:
                self._hear(place, reading, message)
            elif message.offset() >= reading.position:
                batches.setdefault(place, []).append(from_message(message))
                reading.position = message.offset() + 1
        for place, batch in batches.items():
            reading = self._readings[place]
            reading.waiting += len(batch)
            reading.moved_s = time.monotonic()
            reading.end = max(reading.end, reading.position)
            if reading.waiting > self._waiting_max:
                reading.aside = True
                self._consumer.incremental_unassign([TopicPartition(*place)])
            reading.sink(batch)

    def _hear(self, place: tuple[str, int], reading: _Reading, message: Any) -> None:
        code = message.error().code()
        if code == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own code
            # Past transaction markers, which are no records.
            reading.position = max(reading.position, message.offset())
        elif code in _OUT_OF_RANGE:
            self._go_on_at_the_beginning(place, reading)
        else:
            log.info("%s[%d]: %s", *place, message.error().str())

    def _go_on_at_the_beginning(self, place: tuple[str, int], reading: _Reading) -> None:
        """Take up a partition whose log does not hold the offset asked for: ids decide what is new."""
        try:
            low, _ = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=_ASK_S)
        except KafkaException:
            low = 0  # asked for again when the broker answers
        log.error(
            "%s[%d] does not hold offset %d: retention was shorter than the outage, or the topic was made "
            "anew; going on at %d",
            *place,
            reading.position,
            low,
        )
        reading.position = low
        self._consumer.incremental_unassign([TopicPartition(*place)])
        self._consumer.incremental_assign([TopicPartition(*place, low)])
