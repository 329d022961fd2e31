"""Reading a partition's log: to its end, folded to the newest value a key, or backwards from its end.

Offsets have gaps (transaction markers, compaction), so nothing here expects consecutive numbers: the end is
the high watermark as it stood when reading began, and "reached" means that the broker said so.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from streams.errors import Transport
from streams.kafka.log_record import LogRecord, from_message

_BATCH_MAX = 10_000
_WAIT_S = 1.0
_ASK_S = 5.0
_AGAIN_S = 0.2
STALL_S = 30.0  # without a record and without the end: the broker is away

_PROPERTIES: Mapping[str, Any] = {
    "group.id": "ensue-tail",  # the library asks for one; nothing is ever joined or committed
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "isolation.level": "read_uncommitted",  # DESIGN 5.8; librdkafka's default is the other one
    "auto.offset.reset": "earliest",
    "fetch.wait.max.ms": 20,
    "fetch.queue.backoff.ms": 5,
    "fetch.message.max.bytes": 8 << 20,
    "queued.max.messages.kbytes": 65_536,
}


@contextmanager
def _consumer(client: Mapping[str, Any]) -> Iterator[Any]:
    consumer = Consumer({**_PROPERTIES, **client})
    try:
        yield consumer
    finally:
        consumer.close()


def _bounds(consumer: Any, topic: str, partition: int) -> tuple[int, int]:
    deadline_s = time.monotonic() + STALL_S
    while True:
        try:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_ASK_S)
        except KafkaException as error:
            # No leader for a moment, a broker that starts: all of it passes or ends at the deadline.
            if time.monotonic() > deadline_s:
                raise Transport(
                    f"the end of {topic}[{partition}] is not known ({error.args[0].str()}); try again"
                ) from error
            time.sleep(_AGAIN_S)
        else:
            return int(low), int(high)


def bounds(client: Mapping[str, Any], topic: str, partition: int) -> tuple[int, int]:
    """Return (first offset, offset after the last) as of now. Raises Transport."""
    with _consumer(client) as consumer:
        return _bounds(consumer, topic, partition)


def read_to_end(
    client: Mapping[str, Any],
    topic: str,
    partition: int,
    *,
    start: int | None = None,
    end: int | None = None,
) -> Iterator[list[LogRecord]]:
    """Yield the log from `start` (default: its beginning) up to `end` (default: its end now), in batches.

    Blocks; call it in a thread. Raises Transport when the broker stops answering for STALL_S.
    """
    with _consumer(client) as consumer:
        low, high = _bounds(consumer, topic, partition)
        yield from _read(
            consumer, topic, partition, max(low, start or 0), high if end is None else min(end, high)
        )


def fold_latest(client: Mapping[str, Any], topic: str, partition: int) -> dict[bytes, LogRecord]:
    """Return the newest record of every key of a compacted log; a tombstone removes its key.

    Not for topics that fenced producers write: the broker's cleaner takes away what an aborted transaction
    carried (see `owned_log`). The dictionary is in order of each key's *first* surviving write.
    Blocks; raises Transport.
    """
    latest: dict[bytes, LogRecord] = {}
    for batch in read_to_end(client, topic, partition):
        for record in batch:
            if record.key is None:
                continue
            if record.value is None:
                latest.pop(record.key, None)
            else:
                latest[record.key] = record
    return latest


def read_back(
    client: Mapping[str, Any],
    topic: str,
    partition: int,
    enough: Callable[[list[LogRecord]], bool],
    *,
    first_step: int = 1_000,
    offsets_max: int = 10_000_000,
) -> list[LogRecord]:
    """Read ever larger tails of the log, growing fourfold, until `enough(tail)` or the log's beginning.

    Each step reads only what the one before did not; `offsets_max` bounds how far back it looks, counted in
    offsets because those are what a log is addressed by. Blocks; raises Transport.
    """
    with _consumer(client) as consumer:
        low, high = _bounds(consumer, topic, partition)
        tail: list[LogRecord] = []
        upper, step, oldest = high, first_step, max(low, high - offsets_max)
        while upper > oldest:
            lower = max(oldest, upper - step)
            tail = [r for batch in _read(consumer, topic, partition, lower, upper) for r in batch] + tail
            if enough(tail):
                break
            upper, step = lower, step * 4
        return tail


def _read(consumer: Any, topic: str, partition: int, start: int, end: int) -> Iterator[list[LogRecord]]:
    """Yield the records at offsets start ≤ offset < end."""
    if start >= end:
        return
    consumer.assign([TopicPartition(topic, partition, start)])
    heard_s, trouble = time.monotonic(), "no answer"
    while True:
        head = consumer.poll(_WAIT_S)
        batch, reached = [], False
        for message in () if head is None else (head, *consumer.consume(_BATCH_MAX, 0)):
            error = message.error()
            if error is None:
                if message.offset() < end:
                    batch.append(from_message(message))
                reached = reached or message.offset() >= end - 1
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own code
                reached = True  # also when only transaction markers lie before the end
            else:
                trouble = error.str()
        if batch:
            heard_s = time.monotonic()
            yield batch
        if reached:
            return
        if time.monotonic() - heard_s > STALL_S:
            raise Transport(
                f"{topic}[{partition}] was not read to {end} within {STALL_S:g} s ({trouble}); try again"
            )
