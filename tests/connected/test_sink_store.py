"""The sink into a real store: one row per identity, completed by offset, poison aside."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from schemas import avro_schema
from schemas.codec import FixedRegistry
from schemas.new_id import new_id
from schemas.record import RunLog
from schemas.topics import Topics, topics
from streams.errors import Fenced, Transport
from streams.kafka.record import Outgoing
from streams.settings import ClickHouseSettings
from streams.store.client import StoreWriter
from tests.connected.store_process import StoreProcess
from tests.connected.store_rows import (
    CODEC,
    NOW_US,
    SinkHarness,
    append,
    event,
    memory_log,
    outgoing,
    reader,
    rows,
)

pytestmark = pytest.mark.connected
_numbers = count(1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProcess]:
    """One store for the module; every test has topics of its own."""
    process = StoreProcess(tmp_path_factory.mktemp("store")).start()
    yield process
    process.stop()


@pytest.fixture
def settings(store: StoreProcess) -> ClickHouseSettings:
    """How to reach it."""
    return store.settings()


@pytest.fixture
def own() -> Topics:
    """Topics of this test's own."""
    return topics(f"test{next(_numbers)}.", 4)


def counts(settings: ClickHouseSettings, own: Topics, table: str = "events") -> tuple[int, int]:
    """(rows, distinct ids) that this test stored."""
    prefix = own.events.name.removesuffix("events")
    found = rows(
        reader(settings),
        f"SELECT count(), uniqExact(id) FROM {table} WHERE startsWith(topic, '{prefix}')",
    )[0]
    return int(found[0]), int(found[1])


def test_every_field_arrives_as_written(settings: ClickHouseSettings, own: Topics) -> None:
    """No byte is decoded on the way, and yet each column holds what the record held."""
    log = memory_log(own)
    one = event(causation_id=new_id(), follows=new_id(), depth=3)
    append(log, own, [one])
    SinkHarness(log, own, settings).drain()
    found = reader(settings).query(
        "SELECT *, resource, resource['bucket'] AS bucket FROM events WHERE id = {id:UUID}",
        parameters={"id": one.id},
    )
    row = dict(zip(found.column_names, found.result_rows[0], strict=True))
    assert row["id"] == UUID(one.id)
    assert row["resource"] == json.loads(one.resource)
    assert row["bucket"] == "landing"
    assert (row["related"], row["payload"], row["source"]) == (one.related, one.payload, one.source)
    assert row["occurred"].timestamp() * 1e6 == pytest.approx(NOW_US) or row["occurred"].tzinfo is None
    assert (row["causation_id"], row["follows"], row["replay_of"]) == (
        UUID(str(one.causation_id)),
        UUID(str(one.follows)),
        None,
    )
    assert (row["topic"], row["offset"], row["depth"]) == (own.events.name, 0, 3)


def test_retried_event_is_one_row(settings: ClickHouseSettings, own: Topics) -> None:
    """The same id at a new offset makes no second row, in a later batch and after a restart too."""
    log = memory_log(own)
    events = [event() for _ in range(50)]
    append(log, own, events)
    append(log, own, events[:10])
    first = SinkHarness(log, own, settings).drain()
    append(log, own, events)
    first.drain().finish()
    append(log, own, events[20:])
    SinkHarness(log, own, settings).drain()
    assert counts(settings, own) == (50, 50)


def test_without_identity_a_retry_is_two_rows(settings: ClickHouseSettings, own: Topics) -> None:
    """The test above sees the fault: with the id window off, a retried event is stored twice."""
    log = memory_log(own)
    events = [event() for _ in range(5)]
    append(log, own, [*events, *events])
    SinkHarness(log, own, settings, identity=False).drain()
    assert counts(settings, own) == (10, 5)


def test_id_beyond_the_window_is_asked(settings: ClickHouseSettings, own: Topics) -> None:
    """An id that the window has forgotten is found in the store."""
    log = memory_log(own)
    events = [event() for _ in range(60)]
    append(log, own, events)
    harness = SinkHarness(log, own, settings, dedupe_ids_max=4).drain()
    append(log, own, events)
    harness.drain()
    assert counts(settings, own) == (60, 60)


def test_crash_before_progress_repeats_nothing(settings: ClickHouseSettings, own: Topics) -> None:
    """A sink that died after its insert finds its rows by offset and stores none again."""
    log = memory_log(own)
    append(log, own, [event() for _ in range(40)])
    SinkHarness(log, own, settings, store=_NeverSaves(settings)).drain()
    SinkHarness(log, own, settings).drain()
    assert counts(settings, own) == (40, 40)


def test_without_completion_a_crash_repeats_rows(settings: ClickHouseSettings, own: Topics) -> None:
    """The test above sees the fault: with start-up completion off, the rows are stored again."""
    log = memory_log(own)
    append(log, own, [event() for _ in range(40)])
    SinkHarness(log, own, settings, store=_NeverSaves(settings)).drain()
    SinkHarness(log, own, settings, completes=False).drain()
    assert counts(settings, own) == (80, 40)


class _NeverSaves(StoreWriter):
    """A sink's store connection whose process dies before it can note progress."""

    def __init__(self, settings: ClickHouseSettings) -> None:
        super().__init__(settings, 0)
        self.migrate()

    def save_progress(self, progress: object) -> None:
        """Do not."""


class _CutAfter(StoreWriter):
    """The n-th insert arrives, but its answer is lost."""

    def __init__(self, settings: ClickHouseSettings, *, before: bool) -> None:
        super().__init__(settings, 0)
        self.migrate()
        self.cuts = 0
        self._before = before

    def insert(self, table: str, columns: Any, avro: bytes) -> None:
        """Cut the first three."""
        if self.cuts < 3:
            self.cuts += 1
            if not self._before:
                super().insert(table, columns, avro)
            raise Transport("the connection was cut")
        super().insert(table, columns, avro)


@pytest.mark.parametrize("before", [True, False])
def test_unknown_outcome_is_settled_by_offset(
    settings: ClickHouseSettings, own: Topics, before: bool
) -> None:
    """Whether an unanswered insert went in or not, its rows are there once."""
    log = memory_log(own)
    append(log, own, [event() for _ in range(30)])
    store = _CutAfter(settings, before=before)
    SinkHarness(log, own, settings, store=store).drain()
    assert counts(settings, own) == (30, 30)
    assert store.cuts >= 1


def test_half_an_insert_is_completed(settings: ClickHouseSettings, own: Topics) -> None:
    """Rows of one table that a crash left out are added; those that are there stay single."""
    log = memory_log(own)
    run = new_id()
    for n in range(6):
        state = RunLog(
            id=new_id(),
            event="ensue.run.running",
            run_id=run,
            seq=n,
            flow="f",
            flow_version="1",
            trigger="",
            firing_id=None,
            state=f"s{n}",
            at=NOW_US,
            requested=NOW_US,
            attempt=1,
            worker="w",
            parameters="{}",
            correlation_id=run,
            causation_id=None,
        )
        log.append(Outgoing(own.run_log.name, 0, b"k", CODEC.encode(state)))
    half = _NeverSaves(settings)
    refuse = half.insert

    def only_the_log(table: str, columns: Any, avro: bytes) -> None:
        if table == "runs_latest":
            raise KeyboardInterrupt
        refuse(table, columns, avro)

    half.insert = only_the_log  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        SinkHarness(log, own, settings, store=half).drain()
    SinkHarness(log, own, settings).drain()
    ask = reader(settings)
    assert rows(ask, f"SELECT count(), uniqExact(id) FROM run_log WHERE run_id = '{run}'") == [(6, 6)]
    assert rows(ask, f"SELECT state FROM runs WHERE id = '{run}'") == [("s5",)]


def test_bad_records_never_block_the_rest(settings: ClickHouseSettings, own: Topics) -> None:
    """Truncated, unframed, unknown and wrongly typed records become dead letters; the rest is stored."""
    log = memory_log(own)
    good = [event() for _ in range(20)]
    bad = [
        CODEC.encode(event())[:-9],
        CODEC.encode(event())[:50],
        b"",
        b"{}",
        b"\x00\x00\x00\x00\x63" + CODEC.encode(event())[5:],
        CODEC.header("verdict") + CODEC.encode(event())[5:],
        CODEC.encode(event(id="x" * 36)),
    ]
    for n, record in enumerate(good):
        append(log, own, [record])
        if n < len(bad):
            place = outgoing(own, record)
            log.append(place._replace(value=bad[n]))
    harness = SinkHarness(log, own, settings).drain()
    assert counts(settings, own) == (20, 20)
    assert sorted(letter.raw for letter in harness.letters.letters) == sorted(bad)
    for letter in harness.letters.letters:
        assert letter.stage == "sink"
        assert letter.from_topic == own.events.name
        assert f"@{letter.from_offset}" in letter.error


def test_second_schema_version_lies_beside_the_first(settings: ClickHouseSettings, own: Topics) -> None:
    """Records of a newer and an older writer schema in one stream are all stored."""
    newer = json.loads(avro_schema.text("event"))
    newer["fields"].append({"name": "extra", "type": "string", "default": ""})
    newer["fields"] = [f for f in newer["fields"] if f["name"] != "depth"]
    registry = FixedRegistry()
    number = 900
    registry._ids[json.dumps(newer)] = number
    old, new = event(depth=7), event()
    log = memory_log(own)
    append(log, own, [old])
    body = CODEC.encode(new)[5:-1] + b"\x06abc"  # without depth (one byte), with extra
    log.append(outgoing(own, new)._replace(value=b"\x00" + number.to_bytes(4) + body))
    harness = SinkHarness(log, own, settings, registry=registry).drain()
    assert harness.letters.letters == []
    found = rows(
        reader(settings),
        f"SELECT toString(id), depth FROM events WHERE topic = '{own.events.name}' ORDER BY depth",
    )
    assert found == [(new.id, 0), (old.id, 7)]


def test_older_sink_is_refused(settings: ClickHouseSettings, own: Topics) -> None:
    """Once a second sink has the ordinal, the first one's next insert is refused by the store."""
    log = memory_log(own)
    append(log, own, [event()])
    first = SinkHarness(log, own, settings)
    second = SinkHarness(log, own, settings)
    assert second.epoch > first.epoch
    with pytest.raises(Fenced):
        first.drain()
    second.drain()
    assert counts(settings, own) == (1, 1)


def test_store_killed_reopens_with_everything(tmp_path: Path, own: Topics) -> None:
    """After kill -9 the store opens again at once, with every row it had answered for."""
    process = StoreProcess(tmp_path / "data").start()
    log = memory_log(own)
    try:
        for n in range(3):
            append(log, own, [event() for _ in range(100)])
            SinkHarness(log, own, process.settings()).drain()
            process.kill()
            process.start()
            assert counts(process.settings(), own) == ((n + 1) * 100, (n + 1) * 100)
        assert process.started_in_s < 15
    finally:
        process.stop()


def test_records_equal_fastavro(settings: ClickHouseSettings, own: Topics) -> None:
    """A thousand records read back from SQL equal what was encoded."""
    log = memory_log(own)
    events = [
        event(
            resource_id=f"r{n}", occurred=NOW_US + n * 977, payload=json.dumps({"n": n, "s": "é" * (n % 90)})
        )
        for n in range(1000)
    ]
    append(log, own, events)
    SinkHarness(log, own, settings).drain()
    found = rows(
        reader(settings),
        "SELECT toString(id), event, resource_id, toUnixTimestamp64Micro(occurred), "
        "toUnixTimestamp64Micro(received), resource_text, related, payload, source, "
        f"toString(correlation_id), depth FROM events WHERE topic = '{own.events.name}'",
    )
    left_out = {"causation_id", "follows", "replay_of"}
    expected = [tuple(v for name, v in asdict(one).items() if name not in left_out) for one in events]
    assert sorted(found) == sorted(expected)
