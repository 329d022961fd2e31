"""A partition's newest value of every key, kept short by its owner and not by the broker's compaction.

Kafka's cleaner removes the records of aborted transactions, and shutting a former owner out aborts the
transaction that carried its last acknowledged writes: on a compacted topic they vanish within a second
(seen: docs/experiments/ownership.md). So these topics keep everything (`cleanup.policy=delete`,
`retention.ms=-1`), readers read uncommitted, and the owner writes a snapshot when the log has grown past a
multiple of what lives in it, then deletes what lies before. An acknowledged row stays acknowledged.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from streams.kafka.fenced import FencedProducer, Row
from streams.kafka.log_record import LogRecord
from streams.kafka.tail import read_back, read_to_end

SNAPSHOT_MARK = b"\x00snapshot"  # key of the record that ends a snapshot; its value is where it begins
SNAPSHOT_ROWS_MIN = 20_000  # a shorter log is not worth it
GROWTH_MAX = 3  # rows in the log for each that lives
_CHUNK_ROWS = 1_000
_FIRST_STEP = 20_000
_DELETE_TIMEOUT_S = 10.0

log = logging.getLogger(__name__)


class OwnedLog:
    """Key → newest value of one partition. After `load` it belongs to one event loop.

    `stage` changes the map at once and returns the row to write: give it to the fence before anything is
    awaited, so that map and log agree on the order. What is not acknowledged loses the fence and with it this
    object; the next owner loads what the log says.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        fence: FencedProducer,
        topic: str,
        partition: int,
        *,
        rows_min: int = SNAPSHOT_ROWS_MIN,
        growth_max: int = GROWTH_MAX,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self._client = dict(client)
        self._fence = fence
        self._rows_min = rows_min
        self._growth_max = growth_max
        self._rows: dict[bytes, bytes] = {}
        self._since_snapshot = 0
        self._snapshot: asyncio.Task[None] | None = None

    @property
    def rows(self) -> Mapping[bytes, bytes]:
        """The newest value of every key, tombstoned keys left out; do not hold on to it over an await."""
        return self._rows

    def load(self) -> None:
        """Read the log to its end; blocks; the fence must be open. Raises Transport."""
        tail = read_back(
            self._client, self.topic, self.partition, lambda t: _base(t) is not None, first_step=_FIRST_STEP
        )
        base = _base(tail)
        if base is not None and tail and base < tail[0].offset:
            for batch in read_to_end(
                self._client, self.topic, self.partition, start=base, end=tail[0].offset
            ):
                self._apply(batch)
        self._apply(record for record in tail if base is None or record.offset >= base)

    def _apply(self, records: Iterable[LogRecord]) -> None:
        for record in records:
            self._since_snapshot += 1
            if record.key is None or record.key == SNAPSHOT_MARK:
                continue
            if record.value is None:
                self._rows.pop(record.key, None)
            else:
                self._rows[record.key] = record.value

    def stage(self, key: bytes, value: bytes | None) -> Row:
        """Change the map (None removes the key) and return the row, to be written before any await."""
        if value is None:
            self._rows.pop(key, None)
        else:
            self._rows[key] = value
        self._since_snapshot += 1
        return Row(self.topic, self.partition, key, value)

    def write(self, rows: Iterable[tuple[bytes, bytes | None]]) -> Future[list[int]]:
        """Stage and write rows as one group; see FencedProducer.write. Begins a snapshot when one is due."""
        written = self._fence.write([self.stage(key, value) for key, value in rows])
        self.snapshot_if_due()
        return written

    def snapshot_if_due(self) -> None:
        """Begin a snapshot in the background when the log is long enough; for users of `stage`."""
        long = self._since_snapshot > max(self._rows_min, self._growth_max * len(self._rows))
        if long and (self._snapshot is None or self._snapshot.done()):
            self._snapshot = asyncio.ensure_future(self._shorten())

    async def _shorten(self) -> None:
        try:
            await self.snapshot()
        except Exception as error:  # a lost fence, or the broker: the long log is as good as the short one
            log.info("no snapshot of %s[%d] now: %r", self.topic, self.partition, error)

    async def snapshot(self) -> None:
        """Write everything that lives to the log's end, then delete what lies before."""
        self._since_snapshot = len(self._rows)
        keys = list(self._rows)
        begin: int | None = None
        for at in range(0, len(keys), _CHUNK_ROWS):
            # Values as they are when they are written: a newer one is then always behind them.
            chunk = [
                Row(self.topic, self.partition, key, self._rows[key])
                for key in keys[at : at + _CHUNK_ROWS]
                if key in self._rows
            ]
            offsets = await asyncio.wrap_future(self._fence.write(chunk))
            begin = offsets[0] if begin is None and offsets else begin
        mark = Row(self.topic, self.partition, SNAPSHOT_MARK, b"%d" % (-1 if begin is None else begin))
        (end,) = await asyncio.wrap_future(self._fence.write([mark]))
        await asyncio.to_thread(self._delete_before, end if begin is None else begin)

    def _delete_before(self, offset: int) -> None:
        admin = AdminClient(self._client)  # kept until the answer: its callbacks die with it
        try:
            deleted = admin.delete_records(
                [TopicPartition(self.topic, self.partition, offset)], request_timeout=_DELETE_TIMEOUT_S
            )
            for done in deleted.values():
                done.result(_DELETE_TIMEOUT_S)
        except (KafkaException, TimeoutError) as error:
            log.info("%s[%d] keeps what lies before %d: %r", self.topic, self.partition, offset, error)

    def close(self) -> None:
        """Stop a snapshot that is under way; without its mark it counts for nothing."""
        if self._snapshot is not None:
            self._snapshot.cancel()


def _base(tail: list[LogRecord]) -> int | None:
    """Where the last complete snapshot in `tail` begins; an empty one begins at its mark."""
    for record in reversed(tail):
        if record.key == SNAPSHOT_MARK and record.value is not None:
            begin = int(record.value)
            return record.offset if begin < 0 else begin
    return None
