"""The sink over a store that cuts connections, writes half an insert and dies at any step."""

import random
from collections.abc import Collection, Mapping, Sequence
from io import BytesIO

import fastavro
import pytest

from schemas.codec import FixedRegistry, fixed_codec
from schemas.identity import derived_id
from schemas.record import DeadLetter, EventRecord, RunLog
from schemas.topics import topics
from streams.clock import SystemClock
from streams.errors import Poison, Transport
from streams.kafka.memory import MemoryLog, MemoryReader
from streams.kafka.record import Outgoing
from streams.store.sink import Batching, Sink
from streams.store.sink_insert import Inserter
from streams.store.sink_start import open_places
from streams.store.tables import targets

pytestmark = pytest.mark.simulation
OWN = topics("sim.", 2)
CODEC = fixed_codec()
BAD = CODEC.header("event") + b"H" + derived_id("bad").encode() + b"\x02x\xff"


class Died(BaseException):
    """The sink's process ended here."""


class FaultyStore:
    """Rows in memory; what an insert does with them is drawn."""

    def __init__(self, draw: random.Random, fault_share: float) -> None:
        self.tables: dict[str, list[tuple[str, int, int, str]]] = {}
        self.next: dict[tuple[str, int], int] = {}
        self.draw = draw
        self.fault_share = fault_share

    def fault(self, *kinds: str) -> str:
        """Draw a fault, mostly none."""
        return self.draw.choice(kinds) if self.draw.random() < self.fault_share else ""

    def take_lease(self) -> int:
        """Nobody else is there."""
        return 1

    def check_lease(self) -> None:
        """Nobody else is there."""

    def end_statements(self) -> None:
        """Nothing runs on."""

    def progress(self) -> dict[tuple[str, int], int]:
        """What was saved."""
        return dict(self.next)

    def save_progress(self, progress: Mapping[tuple[str, int], int]) -> None:
        """Save, cut, or die before or after."""
        kind = self.fault("cut", "die before", "die after")
        if kind == "die before":
            raise Died
        if kind != "cut":
            self.next.update(progress)
        if kind == "die after":
            raise Died
        if kind == "cut":
            raise Transport("cut")

    def offsets_from(
        self, table: str, topic: str, least: int, partitions: Collection[int]
    ) -> set[tuple[int, int]]:
        """(partition, offset) of rows."""
        if self.fault("cut"):
            raise Transport("cut")
        return {
            (p, o)
            for t, p, o, _ in self.tables.get(table, [])
            if t == topic and o >= least and p in partitions
        }

    def known_ids(self, table: str, ids: Sequence[str]) -> set[str]:
        """Ids of rows."""
        return {one for *_, one in self.tables.get(table, [])} & set(ids)

    def columns(self, table: str) -> frozenset[str]:
        """Enough of them."""
        return frozenset(("topic", "partition", "offset", "id"))

    def insert(self, table: str, columns: Sequence[str], avro: bytes) -> None:
        """All, a part, or nothing of it, with or without an answer."""
        try:
            found = [
                (r["topic"], r["partition"], r["offset"], str(r["id"]))
                for r in fastavro.reader(BytesIO(avro))
            ]
        except Exception as error:
            raise Poison(str(error), reason="refused_by_store") from error
        kind = self.fault("cut before", "cut after", "half", "die before", "die after", "die half")
        if "before" not in kind:
            whole = self.tables.setdefault(table, [])
            whole += [row for row in found if "half" not in kind or self.draw.random() < 0.5]
        if kind.startswith("die"):
            raise Died
        if kind:
            raise Transport(kind)


class Letters:
    """Dead letters by their id."""

    def __init__(self) -> None:
        self.ids: set[str] = set()

    def put(self, letter: DeadLetter) -> None:
        """Keep it."""
        self.ids.add(letter.id)


def event(number: int) -> bytes:
    """Event `number`, half of them with an id that carries no time."""
    one = derived_id(number, ms=1_790_000_000_000 + number if number % 2 else 0)
    return CODEC.encode(
        EventRecord(
            id=one,
            event="e",
            resource_id="r",
            occurred=1,
            received=1,
            resource="{}",
            related="[]",
            payload="{}",
            source="",
            causation_id=None,
            correlation_id=one,
            follows=None,
            replay_of=None,
        )
    )


def state(number: int) -> bytes:
    """A run's state."""
    one = derived_id("run", number)
    return CODEC.encode(
        RunLog(
            id=one,
            event="ensue.run.x",
            run_id=one,
            seq=1,
            flow="f",
            flow_version="1",
            trigger="",
            firing_id=None,
            state="x",
            at=1,
            requested=1,
            attempt=1,
            worker="w",
            parameters="{}",
            correlation_id=one,
            causation_id=None,
        )
    )


def live(
    log: MemoryLog, store: FaultyStore, letters: Letters, draw: random.Random, *, completes: bool
) -> None:
    """One life of the sink, until it dies or has read everything."""
    attempts = 0

    def pause(_: int) -> None:
        nonlocal attempts
        attempts += 1
        if attempts > 500:
            raise Died

    reader = MemoryReader(log)
    ids_max = draw.choice([2, 10, 1000])
    places = open_places(
        targets(OWN),
        ordinal=0,
        of=1,
        log=reader,
        store=store,
        dedupe_for_us=3_600_000_000,
        dedupe_ids_max=ids_max,
        completes=completes,
    )
    inserter = Inserter(store, FixedRegistry(), letters, SystemClock(), pause)
    batching = Batching(records=draw.choice([1, 3, 7, 50]), ms=0)
    now_s = [0.0]
    sink = Sink(places, reader, store, inserter, batching, monotonic_s=lambda: now_s[0])
    while True:
        now_s[0] += draw.choice([0.1, 1.5])
        if not sink.step():
            break
    sink.finish()


def simulate(seed: int, *, completes: bool = True) -> FaultyStore:
    """Events with retries and a bad one, a faulty store, as many lives as it takes."""
    draw = random.Random(seed)
    log = MemoryLog({topic.name: topic.partitions for topic in OWN.all()})
    store, letters = FaultyStore(draw, draw.choice([0.05, 0.3])), Letters()
    written = 0
    for _ in range(40):
        for _ in range(draw.randrange(12)):
            number = draw.randrange(max(written, 1)) if draw.random() < 0.3 else written
            written = max(written, number + 1)
            log.append(Outgoing(OWN.events.name, number % 2, None, event(number)))
            log.append(Outgoing(OWN.run_log.name, number % 2, None, state(number)))
            if draw.random() < 0.05:
                log.append(Outgoing(OWN.events.name, 0, None, BAD))
        try:
            live(log, store, letters, draw, completes=completes)
        except (Died, Transport):
            continue
        if written > 60:
            break
    store.fault_share = 0
    live(log, store, letters, draw, completes=completes)
    if not completes:
        return store
    expected = {derived_id(n, ms=1_790_000_000_000 + n if n % 2 else 0) for n in range(written)}
    assert {one for *_, one in store.tables["events"]} == expected, f"seed {seed}: events are missing"
    for table in ("run_log", "runs_latest"):
        ids = {one for *_, one in store.tables[table]}
        assert ids == {derived_id("run", n) for n in range(written)}, (
            f"seed {seed}: rows of {table} are missing"
        )
    return store


@pytest.mark.parametrize("seed", range(40))
def test_one_row_per_identity_whatever_fails(seed: int) -> None:
    """Nothing is missing and nothing is twice, in the log's table and in the latest state's."""
    store = simulate(seed)
    for table, rows in store.tables.items():
        assert len(rows) == len({one for *_, one in rows}), f"seed {seed}: {table} has rows twice"


def test_without_completion_some_seed_fails() -> None:
    """The simulation sees the fault: without start-up completion rows come twice."""
    doubled = 0
    for seed in range(20):
        store = simulate(seed, completes=False)
        doubled += any(len(rows) != len({one for *_, one in rows}) for rows in store.tables.values())
    assert doubled
