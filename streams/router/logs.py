"""Reading back from Kafka at recovery."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence

from schemas.codec import Codec, UndecodableError, peek
from schemas.record import Candidate
from schemas.topics import Topics
from streams.errors import Transport
from streams.kafka.consumer import LogReader
from streams.kafka.record import Record
from streams.router.ports import Mark, Stored
from streams.router.rows import MARK, mark_partition
from streams.settings import KafkaSettings

_BATCH_MAX = 5_000
_WAIT_S = 0.5
_STALL_S = 30.0  # without progress: the broker is away
_FIRST_STEP = 2_000  # offsets read back at first; each further step takes four times as many


class KafkaLogs:
    """Implements `ports.Logs`; each call opens a reader of its own and reads in a thread."""

    def __init__(self, settings: KafkaSettings, topics: Topics, codec: Codec) -> None:
        self._settings = settings
        self._topics = topics
        self._codec = codec

    async def bounds(self, partition: int) -> tuple[int, int]:
        """Return (first offset, offset after the last) of a partition of the events log."""
        return await asyncio.to_thread(self._bounds, partition)

    def _bounds(self, partition: int) -> tuple[int, int]:
        with self._reader() as reader:
            return reader.watermarks(self._topics.events.name, partition)

    async def newest_mark(self, partition: int) -> Mark | None:
        """Return the newest mark of an events partition: the last one in one fixed candidates partition."""
        return await asyncio.to_thread(self._newest_mark, partition)

    def _newest_mark(self, partition: int) -> Mark | None:
        topic = self._topics.candidates
        place = (topic.name, mark_partition(partition, topic.partitions))
        with self._reader() as reader:
            low, upper = reader.watermarks(*place)
            step = _FIRST_STEP
            while upper > low:
                lower = max(low, upper - step)
                found = None
                for batch in _read(reader, place, lower, upper):
                    for record in batch:
                        found = read_mark(self._codec, record.value, partition) or found
                if found is not None:
                    return found
                upper, step = lower, step * 4
        return None

    async def replay(
        self, partition: int, start: int, end: int, take: Callable[[Sequence[Stored]], None]
    ) -> None:
        """Hand the events at start ≤ offset < end to `take`, in order and in batches, in another thread."""
        await asyncio.to_thread(self._replay, partition, start, end, take)

    def _replay(self, partition: int, start: int, end: int, take: Callable[[Sequence[Stored]], None]) -> None:
        with self._reader() as reader:
            for batch in _read(reader, (self._topics.events.name, partition), start, end):
                take(batch)

    def _reader(self) -> LogReader:
        return LogReader(self._settings, client_id="ensue-router-recovery")


def read_mark(codec: Codec, value: bytes | None, partition: int) -> Mark | None:
    """Return the mark of an events partition that a record of candidates holds, or None."""
    if value is None:
        return None
    try:
        if peek(value)[1] != MARK:
            return None
        mark = codec.decode(value, Candidate)
    except UndecodableError:
        return None  # evaluate makes a dead letter of it
    if mark.events_partition != partition:
        return None
    return Mark(events_offset=mark.events_offset, triggers_offset=mark.triggers_offset)


def _read(reader: LogReader, place: tuple[str, int], start: int, end: int) -> Iterator[list[Record]]:
    """Yield the records at start ≤ offset < end; offsets have gaps, so the position says when it is done."""
    reader.assign({place: start})
    before, heard_s = start, time.monotonic()
    while reader.positions[place] < end:
        batch = [record for record in reader.consume(_BATCH_MAX, _WAIT_S) if record.offset < end]
        if batch:
            yield batch
        if reader.positions[place] > before:
            before, heard_s = reader.positions[place], time.monotonic()
        elif time.monotonic() - heard_s > _STALL_S:
            raise Transport(
                f"{place[0]}[{place[1]}] was read to {before}, not to {end}, then nothing came; try again"
            )
