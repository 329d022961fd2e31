"""How far the sink is behind, as a share of what Kafka keeps (DESIGN 5.16)."""

import asyncio
import contextlib
import time

from schemas.topics import Topics
from streams.clock import Clock
from streams.errors import Transport
from streams.kafka.consumer import LogReader
from streams.kafka.record import Place
from streams.settings import KafkaSettings
from streams.store.queries.known import stored_offsets
from streams.store.queries.reader import StoreReader

_FRESH_S = 10.0
_READ_WITHIN_S = 5.0


class StoredLag:
    """Implements the gateway's port `SinkLag`; an answer is at most 10 s old.

    While the store does not answer, what it had stored last counts: a stopped store alone does not take the
    gateway out, one that stays away does.
    """

    def __init__(self, settings: KafkaSettings, topics: Topics, store: StoreReader, clock: Clock) -> None:
        self._settings = settings
        self._topic = topics.events
        self._store = store
        self._clock = clock
        self._stored: dict[Place, int] = {}
        self._share = 0.0
        self._looked_s = float("-inf")

    async def share_of_retention(self) -> float:
        """Return the oldest unstored record's age as a share of retention: 0 is level, 1 is loss."""
        if self._clock.monotonic_s() - self._looked_s >= _FRESH_S:
            self._share = await asyncio.to_thread(self._look)
            self._looked_s = self._clock.monotonic_s()
        return self._share

    def _look(self) -> float:
        with contextlib.suppress(Transport):
            self._stored = stored_offsets(self._store)
        retention_ms = int(self._topic.config["retention.ms"])
        now_ms = self._clock.now_us() // 1000
        oldest_ms = self._oldest_unstored_ms(now_ms)
        return max(0.0, (now_ms - oldest_ms) / retention_ms) if retention_ms > 0 else 0.0

    def complete_us(self) -> int:
        """Return the time up to which all that is in Kafka is in the store, µs, as of now. Blocks.

        Raises Transport when Kafka or the store does not answer.
        """
        self._stored = stored_offsets(self._store)
        return self._oldest_unstored_ms(self._clock.now_us() // 1000) * 1000

    def _oldest_unstored_ms(self, now_ms: int) -> int:
        with LogReader(self._settings, client_id="ensue-sink-lag") as reader:
            return min(
                (self._oldest_ms(reader, p, now_ms) for p in range(self._topic.partitions)), default=now_ms
            )

    def _oldest_ms(self, reader: LogReader, partition: int, now_ms: int) -> int:
        """Return the log time of the oldest record of a partition that is not stored."""
        place = (self._topic.name, partition)
        first, end = reader.watermarks(*place)
        start = max(first, self._stored.get(place, 0))
        if start >= end:
            return now_ms
        reader.assign({place: start})
        deadline = time.monotonic() + _READ_WITHIN_S
        while reader.positions[place] < end and time.monotonic() < deadline:
            for record in reader.consume(1, 0.2):
                return record.timestamp_ms
        return now_ms
