"""Records for tests of the store and the sink."""

from collections.abc import Iterable, Sequence
from threading import Event as Flag
from typing import Any

from clickhouse_connect import get_client
from clickhouse_connect.driver.client import Client

from schemas.codec import Codec, FixedRegistry, fixed_codec
from schemas.new_id import new_id
from schemas.record import DeadLetter, EventRecord
from schemas.shard import shard
from schemas.topics import Topics
from streams.clock import SystemClock
from streams.kafka.memory import MemoryLog, MemoryReader
from streams.kafka.record import Outgoing
from streams.settings import ClickHouseSettings
from streams.store.client import StoreWriter
from streams.store.sink import Batching, Sink
from streams.store.sink_insert import Inserter
from streams.store.sink_ports import Stored
from streams.store.sink_start import open_places
from streams.store.tables import targets

CODEC: Codec = fixed_codec()
NOW_US = 1_790_000_000_000_000


def event(**changes: Any) -> EventRecord:
    """An event record with a fresh id."""
    one = new_id()
    values: dict[str, Any] = {
        "id": one,
        "event": "storage.object.created",
        "resource_id": "s3://landing/a.csv",
        "occurred": NOW_US,
        "received": NOW_US + 5,
        "resource": '{"resource.id":"s3://landing/a.csv","bucket":"landing","key":"a.csv"}',
        "related": '[{"resource.id":"x","resource.role":"owner"}]',
        "payload": '{"size":3,"name":"ä"}',
        "source": "landing",
        "causation_id": None,
        "correlation_id": one,
        "follows": None,
        "replay_of": None,
    }
    return EventRecord(**{**values, **changes})


def outgoing(topics: Topics, record: EventRecord) -> Outgoing:
    """An event as the gateway writes it."""
    partition = shard(record.resource_id, topics.events.partitions)
    return Outgoing(topics.events.name, partition, record.resource_id.encode(), CODEC.encode(record))


def memory_log(topics: Topics) -> MemoryLog:
    """All topics in memory."""
    return MemoryLog({topic.name: topic.partitions for topic in topics.all()})


class LettersInMemory:
    """Keeps dead letters."""

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []

    def put(self, letter: DeadLetter) -> None:
        """Keep one."""
        self.letters.append(letter)


class SinkHarness:
    """A sink over a log in memory and a real store, stepped by hand."""

    def __init__(
        self,
        log: MemoryLog,
        topics: Topics,
        settings: ClickHouseSettings,
        *,
        store: Stored | None = None,
        registry: Any = None,
        identity: bool = True,
        completes: bool = True,
        dedupe_ids_max: int = 10_000,
        batch: int = 20_000,
    ) -> None:
        self.store = store or StoreWriter(settings, 0)
        self.letters = LettersInMemory()
        self.stop = Flag()
        if isinstance(self.store, StoreWriter):
            self.store.migrate()
        self.epoch = self.store.take_lease()
        reader = MemoryReader(log)
        places = open_places(
            targets(topics),
            ordinal=0,
            of=1,
            log=reader,
            store=self.store,
            dedupe_for_us=3_600_000_000,
            dedupe_ids_max=dedupe_ids_max,
            completes=completes,
        )
        inserter = Inserter(
            self.store, registry or FixedRegistry(), self.letters, SystemClock(), lambda _: None
        )
        self.sink = Sink(
            places, reader, self.store, inserter, Batching(records=batch, ms=5), identity=identity
        )

    def drain(self) -> "SinkHarness":
        """Step until nothing is left."""
        while self.sink.step():
            pass
        return self

    def finish(self) -> None:
        """Note progress and close, as a clean end does."""
        self.sink.finish()


def append(log: MemoryLog, topics: Topics, records: Iterable[EventRecord]) -> None:
    """Write events into the log."""
    for record in records:
        log.append(outgoing(topics, record))


def reader(settings: ClickHouseSettings) -> Client:
    """A reading client."""
    port = int(settings.url.rpartition(":")[2])
    return get_client(host="127.0.0.1", port=port, username="reader", database="ensue", compress=False)


def rows(client: Client, sql: str) -> Sequence[Sequence[Any]]:
    """A statement's rows."""
    return client.query(sql).result_rows
