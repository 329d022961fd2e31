"""A topic as a source, with a topic and a publisher in memory: nothing is lost, nothing blocks."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from schemas.event import Event
from streams.errors import BadInput, EnsueError, Overload, Transport
from streams.kafka.record import Place, Record
from streams.kafka.topic_reader import TopicBatch, TopicFacts
from streams.sources import kafka_topic
from streams.sources.kafka_record import RecordReading, record_wording
from streams.sources.kafka_report import TopicReports
from streams.sources.kafka_topic import KafkaTopicWatch
from streams.sources.kafka_value import Values
from tests.unit.test_kafka_value import PAID, REGISTRY, Known

pytestmark = [pytest.mark.unit, pytest.mark.asyncio]

WITHIN_S = 20.0


def records(*values: bytes | None, start: int = 0) -> list[Record]:
    """Records of partition 0."""
    return [Record("orders", 0, start + at, 1_769_860_800_000, b"k", v, ()) for at, v in enumerate(values)]


@dataclass
class FakeTopic:
    """A log with a committed offset, shared by all connections to it."""

    log: list[Record]
    committed: int = 0
    opens: list[EnsueError] = field(default_factory=list)
    takes: list[EnsueError] = field(default_factory=list)
    away: str = ""
    opened: int = 0
    stays: int = 0

    def connect(self) -> "Connection":
        """Return a new connection."""
        return Connection(self)


class Connection:
    """One membership."""

    def __init__(self, topic: FakeTopic) -> None:
        self._topic = topic
        self._position = 0

    async def open(self) -> TopicFacts:
        """Begin at the committed offset."""
        if self._topic.opens:
            raise self._topic.opens.pop(0)
        self._topic.opened += 1
        self._position = self._topic.committed
        return TopicFacts(cluster_id="c1", partitions=1)

    async def take(self, count_max: int, wait_s: float) -> TopicBatch:
        """Hand out what is there."""
        if self._topic.takes:
            raise self._topic.takes.pop(0)
        found = self._topic.log[self._position : self._position + count_max]
        self._position += len(found)
        if not found:
            await asyncio.sleep(min(wait_s, 0.01))
        place = ("orders", 0)
        return TopicBatch(
            records=found,
            positions={place: self._position},
            ends={place: len(self._topic.log)},
            away=self._topic.away,
        )

    async def stay(self) -> None:
        """Count."""
        self._topic.stays += 1

    async def done(self, positions: Mapping[Place, int]) -> None:
        """Commit."""
        self._topic.committed = positions["orders", 0]

    async def close(self) -> None:
        """Leave."""


@dataclass
class FakePublisher:
    """Keeps what is published; fails as told."""

    events: list[Event] = field(default_factory=list)
    letters: list[dict[str, Any]] = field(default_factory=list)
    failures: list[EnsueError] = field(default_factory=list)
    hold: asyncio.Event | None = None

    async def publish(self, events: Sequence[Event]) -> None:
        """Take all, or fail."""
        if self.hold is not None:
            await self.hold.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.events += events

    async def bury(self, raw: bytes, **letter: Any) -> str:
        """Take a letter, or fail."""
        if self.failures:
            raise self.failures.pop(0)
        self.letters.append({"raw": raw, **letter})
        return "id"

    @property
    def offsets(self) -> list[int]:
        """Offsets of events in the order in which they were published."""
        return [int(event.resource["offset"]) for event in self.events]


class Case:
    """A watch that runs."""

    def __init__(self, topic: FakeTopic, publisher: FakePublisher, registry: Known | None = None) -> None:
        self.topic = topic
        self.publisher = publisher
        self.reports = TopicReports()
        self._reading = RecordReading(
            source="orders",
            cluster="c1",
            format="auto",
            values=Values("auto", registry),
            wording=record_wording(event="{{ value.kind | default('plain') }}"),
        )
        self.refuse: EnsueError | None = None

    async def reading(self, _: TopicFacts) -> RecordReading:
        """Return it, unless refused."""
        if self.refuse is not None:
            raise self.refuse
        return self._reading

    async def until(self, reached: Callable[[], bool]) -> None:
        """Run until it is so."""
        watch = KafkaTopicWatch(
            "orders",
            connect=self.topic.connect,
            reading=self.reading,
            publisher=self.publisher,
            reports=self.reports,
        )
        task = asyncio.create_task(watch.run())
        try:
            async with asyncio.timeout(WITHIN_S):
                while not reached():
                    assert not task.done(), task.exception()
                    await asyncio.sleep(0.005)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of a test are short."""
    monkeypatch.setattr(kafka_topic, "_RETRY_S", 0.01)
    monkeypatch.setattr(kafka_topic, "_RETRY_MAX_S", 0.02)
    monkeypatch.setattr(kafka_topic, "_STAY_EVERY_S", 0.01)


async def test_records_become_events_in_their_order_and_are_committed() -> None:
    """More records than one part holds keep their order; the offset behind the last is committed."""
    topic = FakeTopic(records(*(b"%d" % n for n in range(1_234))))
    publisher = FakePublisher()
    await Case(topic, publisher).until(lambda: topic.committed == 1_234)
    assert publisher.offsets == list(range(1_234))


async def test_broken_records_become_dead_letters_and_their_neighbours_pass() -> None:
    """Raw bytes, topic, partition and offset are kept; each place has a letter of its own."""
    topic = FakeTopic(records(b"1", b"\xff", b'{"kind": ""}', b"\xff", b"2"))
    publisher = FakePublisher()
    await Case(topic, publisher).until(lambda: topic.committed == 5)
    assert publisher.offsets == [0, 4]
    assert [letter["place"] for letter in publisher.letters] == [
        ("orders", 0, 1),
        ("orders", 0, 2),
        ("orders", 0, 3),
    ]
    assert publisher.letters[0]["raw"] == b"\xff"
    assert publisher.letters[0]["reason"] == "not_text"
    assert "orders[0]@1" in publisher.letters[0]["error"]
    assert publisher.letters[1]["reason"] == "unusable_record"


@pytest.mark.parametrize("failure", [Overload("too much"), Transport("away")])
async def test_nothing_is_committed_before_it_is_acknowledged(failure: EnsueError) -> None:
    """A publisher that refuses is asked again, and the group sees meanwhile that we live."""
    topic = FakeTopic(records(b"1", b"\xff"))
    publisher = FakePublisher(hold=asyncio.Event())
    case = Case(topic, publisher)
    hold = publisher.hold
    assert hold is not None

    def held() -> bool:
        if topic.stays >= 3 and not hold.is_set():
            assert topic.committed == 0
            publisher.failures = [failure, failure, failure]
            hold.set()
        return topic.committed == 2

    await case.until(held)
    assert publisher.offsets == [0]
    assert len(publisher.letters) == 1


async def test_a_registry_that_is_away_is_waited_for() -> None:
    """A record whose schema cannot be asked for now is no dead letter."""
    registry = Known(REGISTRY, away=True)
    topic = FakeTopic(records(b"first", PAID))
    publisher = FakePublisher()

    def reached() -> bool:
        if len(registry.asked) > 2:
            registry.away = False
        return topic.committed == 2

    await Case(topic, publisher, registry).until(reached)
    assert publisher.offsets == [0, 1]
    assert not publisher.letters


async def test_a_topic_that_is_missing_is_waited_for_and_shown() -> None:
    """The source goes on by itself once the topic is there; /metrics says what it waits for."""
    topic = FakeTopic(records(b"1"), opens=[BadInput("there is no topic orders")] * 5)
    publisher = FakePublisher()
    case = Case(topic, publisher)
    seen: set[bytes] = set()

    def reached() -> bool:
        seen.add(case.reports.text())
        return topic.committed == 1

    await case.until(reached)
    shown = b"".join(seen)
    assert b'ensue_source_kafka_error{source="orders",error="there is no topic orders"} 1' in shown
    assert b'ensue_source_kafka_reading{source="orders"} 0' in shown
    assert publisher.offsets == [0]


async def test_a_failing_connection_is_made_anew() -> None:
    """What the client cannot mend ends the connection, not the source; nothing is read twice for it."""
    topic = FakeTopic(records(b"1", b"2"), takes=[Transport("the client cannot go on")] * 3)
    publisher = FakePublisher()
    await Case(topic, publisher).until(lambda: topic.committed == 2)
    assert topic.opened == 4
    assert publisher.offsets == [0, 1]


async def test_a_topic_of_ours_is_never_read() -> None:
    """When the cluster turns out to be ours, nothing of it comes in."""
    topic = FakeTopic(records(b"1"))
    publisher = FakePublisher()
    case = Case(topic, publisher)
    case.refuse = BadInput("source orders: ensue.events is a topic of ours")
    await case.until(lambda: topic.opened > 2)
    assert not publisher.events
    assert topic.committed == 0


async def test_a_fault_of_ours_costs_one_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody foresaw makes a dead letter that names no exception."""
    real = RecordReading.taken

    def faulty(self: RecordReading, record: Record, at_s: float) -> Any:
        if record.offset == 1:
            raise KeyError("unforeseen")
        return real(self, record, at_s)

    monkeypatch.setattr(RecordReading, "taken", faulty)
    topic = FakeTopic(records(b"1", b"2", b"3"))
    publisher = FakePublisher()
    await Case(topic, publisher).until(lambda: topic.committed == 3)
    assert publisher.offsets == [0, 2]
    assert "KeyError" not in publisher.letters[0]["error"]


async def test_metrics_show_lag_counts_and_an_end_that_is_away() -> None:
    """Lag by partition, records, dead letters; gone when the source ends."""
    topic = FakeTopic(records(b"1", b"\xff", b"3"), away="all brokers are down")
    publisher = FakePublisher()
    case = Case(topic, publisher)
    seen: list[bytes] = []

    def reached() -> bool:
        seen.append(case.reports.text())
        return topic.committed == 3 and b'partition="0"} 0' in seen[-1]

    await case.until(reached)
    lines = seen[-1].decode().splitlines()
    assert 'ensue_source_kafka_lag{source="orders",partition="0"} 0' in lines
    assert 'ensue_source_kafka_records_total{source="orders"} 3' in lines
    assert 'ensue_source_kafka_unusable_total{source="orders"} 1' in lines
    assert 'ensue_source_kafka_error{source="orders",error="all brokers are down"} 1' in lines
    assert case.reports.text() == b""
