"""The sink: every stored topic into SQL, one row per identity, nothing noted that is not in (DESIGN 5.3)."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from schemas.codec import HEADER_BYTES, UndecodableError, peek, schema_id
from streams.errors import Poison
from streams.kafka.ports import LogSource
from streams.kafka.record import Record
from streams.store.sink_insert import Inserter
from streams.store.sink_place import SinkPlace
from streams.store.sink_ports import Place, Stored

PROGRESS_EVERY_S = 1.0
CONSUME_MAX = 2_000
BATCH_BYTES_MAX = 32 << 20
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """When a batch is full: by count, by bytes, or this long after its first record."""

    records: int = 20_000
    ms: int = 100
    bytes_max: int = BATCH_BYTES_MAX


class Sink:
    """Reads its partitions and stores them, one batch at a time; one thread.

    Args:
        places: its partitions, as `open_places` found them.
        log: assigned to them.
        store: for look-ups and progress.
        inserter: for rows.
        batching: bounds of a batch.
        identity: off only where a test shows what the id window is good for.

    """

    def __init__(
        self,
        places: Mapping[Place, SinkPlace],
        log: LogSource,
        store: Stored,
        inserter: Inserter,
        batching: Batching,
        *,
        identity: bool = True,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._places = places
        self._log = log
        self._store = store
        self._inserter = inserter
        self._batching = batching
        self._identity = identity
        self._monotonic_s = monotonic_s
        self._saved_s = 0.0
        self.beat_s = monotonic_s()  # the watchdog looks at it
        self.stored_records = 0

    def step(self) -> int:
        """Handle one batch and return how many records it had."""
        self.beat_s = self._monotonic_s()
        batch = self._gather()
        if batch:
            self._handle(batch)
        # Positions also pass what is no record (transaction markers); all that was read is handled now.
        for key, position in self._log.positions.items():
            place = self._places[key]
            place.next = max(place.next, position)
        self._save_progress()
        return len(batch)

    def finish(self) -> None:
        """Note the progress of the last batch."""
        self._saved_s = 0.0
        self._save_progress()

    def _gather(self) -> list[Record]:
        """Return what has come, waiting `ms` for the first record and as long again for company."""
        wait_s = self._batching.ms / 1000
        batch = self._log.consume(min(CONSUME_MAX, self._batching.records), wait_s)
        if not batch:
            return batch
        size_bytes = sum(len(r.value or b"") for r in batch)
        deadline_s = self._monotonic_s() + wait_s
        while len(batch) < self._batching.records and size_bytes < self._batching.bytes_max:
            left_s = deadline_s - self._monotonic_s()
            if left_s <= 0:
                break
            more = self._log.consume(min(CONSUME_MAX, self._batching.records - len(batch)), left_s)
            size_bytes += sum(len(r.value or b"") for r in more)
            batch += more
        return batch

    def _handle(self, batch: Sequence[Record]) -> None:
        by_topic: dict[str, list[Record]] = defaultdict(list)
        for record in batch:
            by_topic[record.topic].append(record)
        for topic, records in by_topic.items():
            self._handle_topic(topic, records)
        self.stored_records += len(batch)

    def _handle_topic(self, topic: str, records: Sequence[Record]) -> None:
        """Store what is new; look the doubtful ids up first."""
        target = self._places[topic, records[0].partition].target
        fresh: dict[str, Record] = {}
        asked: dict[str, Record] = {}
        missing: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            place = self._places[topic, record.partition]
            value = record.value
            if record.offset < place.next or value is None:
                continue
            try:
                id_text = peek(value)[0]
            except UndecodableError as error:
                if record.offset >= place.resume:
                    self._inserter.refuse(record, Poison(str(error), reason=error.reason))
                continue
            received_us = record.timestamp_ms * 1000
            if record.offset < place.resume:
                place.window.remember(id_text, received_us)
                continue
            if place.stored and self._was_stored(place, record, missing):
                place.window.remember(id_text, received_us)
                continue
            if not self._identity:
                fresh[f"{id_text}{record.offset}"] = record
                continue
            seen = place.window.seen(id_text, received_us)
            if seen == "new":
                fresh[id_text] = record
            elif seen == "ask" and id_text not in fresh:
                # The store cannot know yet what stands earlier in this batch.
                asked.setdefault(id_text, record)
        if asked:
            known = self._inserter.insisting(lambda: self._store.known_ids(target.tables[0], list(asked)))
            fresh.update((one, record) for one, record in asked.items() if one not in known)
        self._insert(list(fresh.values()), missing, target_topic=topic)

    @staticmethod
    def _was_stored(place: SinkPlace, record: Record, missing: dict[str, list[Record]]) -> bool:
        """Whether an earlier life stored this record; notes the tables that its crash left without it."""
        lacking = [table for table in place.target.tables if not place.has(table, record.offset)]
        if len(lacking) == len(place.target.tables):
            return False
        for table in lacking:
            missing[table].append(record)
        return True

    def _insert(
        self, fresh: Sequence[Record], missing: Mapping[str, Sequence[Record]], *, target_topic: str
    ) -> None:
        by_schema: dict[int, list[Record]] = defaultdict(list)
        for record in fresh:
            by_schema[int.from_bytes((record.value or b"")[1:HEADER_BYTES])].append(record)
        lacking: dict[int, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
        for table, records in missing.items():
            for record in records:
                lacking[schema_id(record.value or b"")][table].append(record)
        for number in by_schema.keys() | lacking.keys():
            rows = by_schema.get(number, [])
            some = rows[0] if rows else next(iter(lacking[number].values()))[0]
            target = self._places[target_topic, some.partition].target
            for refused in self._inserter.insert(target, number, rows, lacking.get(number, {})):
                place = self._places[target_topic, refused.partition]
                place.window.forget(peek(refused.value or b"")[0])

    def _save_progress(self) -> None:
        now_s = self._monotonic_s()
        if now_s - self._saved_s < PROGRESS_EVERY_S:
            return
        changed = {
            place: state.next
            for place, state in self._places.items()
            if state.next >= state.resume and state.next > max(state.saved, 0)
        }
        self._saved_s = now_s
        self._inserter.insisting(self._store.check_lease)
        if not changed:
            return
        self._inserter.insisting(lambda: self._store.save_progress(changed))
        for place, after in changed.items():
            state = self._places[place]
            state.saved = after
            # What an earlier life stored lies behind us; the sets may go.
            if state.stored and after > max(max(offsets, default=0) for offsets in state.stored.values()):
                state.stored.clear()
