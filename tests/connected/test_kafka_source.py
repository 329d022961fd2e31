"""An existing topic as a source, on a real broker."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from schemas.record import DeadLetter, EventRecord
from streams.kafka.admin import ensure_topics
from streams.kafka.config import librdkafka_config
from streams.kafka.tail import bounds
from streams.kafka.topic_reader import TopicReader
from streams.local.broker import LocalBroker
from streams.local.ports import choose_port
from streams.settings import KafkaSettings, RegistrySettings, Settings
from streams.source_settings import KafkaSource
from streams.sources.kafka_report import TopicReports
from streams.wiring.kafka_source import kafka_watch
from tests.connected.conftest import FORCED_COMPACTION
from tests.connected.kafka_source_reader import Reading, stored
from tests.connected.registry_process import RegistryProcess
from tests.unit.test_kafka_topic_watch import FakePublisher

pytestmark = [pytest.mark.connected, pytest.mark.timeout(300)]

WITHIN_S = 120.0
MakeTopic = Callable[..., str]
# Who does not poll for four seconds is taken for dead.
QUICK = {"session.timeout.ms": "3000", "heartbeat.interval.ms": "300", "max.poll.interval.ms": "4000"}


@pytest.fixture
def foreign(kafka: KafkaSettings) -> MakeTopic:
    """Make topics that are not ours: beside the prefix of the installation under test."""

    def make(name: str, partitions: int = 4) -> str:
        there = kafka.model_copy(update={"topic_prefix": f"shop-{kafka.topic_prefix}"})
        return _topic(there, name, partitions)

    return make


def _topic(kafka: KafkaSettings, name: str, partitions: int) -> str:
    from schemas.topics import Topic

    topic = Topic(name=kafka.topic_prefix + name, key="", schema="", partitions=partitions, config={})
    ensure_topics(kafka, [topic])
    return topic.name


@asynccontextmanager
async def watching(
    kafka: KafkaSettings,
    topic: str,
    publisher: FakePublisher,
    *,
    reports: TopicReports | None = None,
    registry_url: str = "",
    **source: Any,
) -> AsyncIterator[TopicReports]:
    """A watch that runs."""
    settings = Settings(kafka=kafka, registry=RegistrySettings(url=registry_url))
    found = KafkaSource(kind="kafka", topic=topic, client=QUICK, **source)
    reports = reports or TopicReports()
    task = asyncio.create_task(kafka_watch("orders", found, publisher, settings, reports).run())
    try:
        yield reports
    finally:
        assert not task.done(), task.exception()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(reached: Callable[[], bool], within_s: float = WITHIN_S) -> None:
    """Wait for it."""
    deadline_s = time.monotonic() + within_s
    while not reached():
        assert time.monotonic() < deadline_s, "not reached in time"
        await asyncio.sleep(0.02)


def produce(kafka: KafkaSettings, topic: str, records: Sequence[dict[str, Any]]) -> None:
    """Write records with confluent's own producer."""
    producer = Producer(librdkafka_config(kafka))
    for record in records:
        producer.produce(topic, **record)
    assert producer.flush(30) == 0


@pytest.fixture
def registry(kafka: KafkaSettings, make_topic: MakeTopic) -> Iterator[RegistryProcess]:
    """Our registry."""
    with RegistryProcess(kafka, make_topic("_schemas", 1, cleanup_policy="compact")) as started:
        yield started


ORDER = json.dumps(
    {
        "type": "record",
        "name": "Order",
        "namespace": "com.acme",
        "fields": [
            {"name": "id", "type": "long"},
            {
                "name": "total",
                "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
            },
        ],
    }
)


async def test_every_format_of_one_topic_is_read(
    kafka: KafkaSettings, foreign: MakeTopic, registry: RegistryProcess
) -> None:
    """Avro of confluent's serializer, JSON, a CloudEvent, text and a tombstone: the record alone tells."""
    topic = foreign("mixed", 1)
    with SchemaRegistryClient({"url": registry.url}) as client:
        serialize = AvroSerializer(client, ORDER)
        order = {"id": 2**55 + 1, "total": Decimal("19.90")}
        avro = serialize(order, SerializationContext(topic, MessageField.VALUE))
    cloud = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"1"),
        ("ce_source", b"/shop"),
        ("ce_type", b"order.paid"),
        ("content-type", b"application/json"),
    ]
    produce(
        kafka,
        topic,
        [
            {"key": b"a", "value": avro},
            {"key": b"b", "value": b'{"n": 1}', "headers": [("tenant", b"t1"), ("Authorization", b"x")]},
            {"value": b'{"n": 2}', "headers": cloud},
            {"value": b"words"},
            {"key": b"b", "value": None},
            {"key": b"c", "value": b"\x00\x00\x00\x00\x63zz"},
        ],
    )
    publisher = FakePublisher()
    async with watching(kafka, topic, publisher, registry_url=registry.url):
        await until(lambda: len(publisher.events) == 5 and len(publisher.letters) == 1)
    first, second, third, fourth, fifth = publisher.events
    assert first.payload == {"id": 2**55 + 1, "total": "19.90"}
    assert first.resource["schema"] == "com.acme.Order"
    assert (first.event, first.resource_id) == ("orders.record", f"kafka://{topic}/a")
    assert second.payload == {"n": 1}
    assert second.resource["header.tenant"] == "t1"
    assert "header.Authorization" not in second.resource
    assert third.event == "order.paid"
    assert fourth.payload == {"value": "words"}
    assert fourth.resource_id == f"kafka://{topic}/partition/0"
    assert fifth.resource["tombstone"] == "true"
    letter = publisher.letters[0]
    assert (letter["reason"], letter["place"]) == ("unknown_schema", (topic, 0, 5))


def test_killed_twice_in_the_middle_no_record_is_missing_or_counts_twice(
    kafka: KafkaSettings, foreign: MakeTopic, tmp_path: Path
) -> None:
    """5,000 records, a broken one after each hundred: 5,000 ids, 50 dead letters, order per key kept."""
    ensure_topics(kafka, kafka.topics().all())
    topic = foreign("many")
    records: list[dict[str, Any]] = []
    for number in range(5_000):
        records.append({"key": b"k%d" % (number % 97), "value": b'{"n": %d}' % number})
        if number % 100 == 99:
            records.append({"key": b"k%d" % (number % 97), "value": b'{"n": '})
    produce(kafka, topic, records)
    published = tmp_path / "published"
    for after in (1, 8):  # in the middle of the first batch, and later
        Reading(kafka, topic, published).kill_in_the_middle(after)
    last = Reading(kafka, topic, published)
    try:
        events, letters = _wait_for_all(kafka)
    finally:
        last.stop()
    numbers = {event.id: json.loads(event.payload)["n"] for event in events}
    print(f"{len(events)} events in the log, {len(events) - len(numbers)} of them redelivered")
    assert len(events) > len(numbers), "no kill hit what was published and not committed"
    assert sorted(numbers.values()) == list(range(5_000))
    broken = {(letter.from_partition, letter.from_offset): letter for letter in letters}
    assert len(broken) == len({letter.id for letter in letters}) == 50
    one = letters[0]
    assert (one.raw, one.reason, one.from_topic) == (b'{"n": ', "malformed_json", topic)
    assert f"{topic}[{one.from_partition}]@{one.from_offset}" in one.error
    first_seen: dict[str, list[int]] = {}
    seen: set[str] = set()
    for event in events:
        if event.id not in seen:
            seen.add(event.id)
            first_seen.setdefault(event.resource_id, []).append(numbers[event.id])
    assert len(first_seen) == 97
    assert all(found == sorted(found) for found in first_seen.values())


def _wait_for_all(kafka: KafkaSettings) -> tuple[list[EventRecord], list[DeadLetter]]:
    deadline_s = time.monotonic() + WITHIN_S
    while True:
        events, letters = stored(kafka)
        if len({event.id for event in events}) >= 5_000 and len({one.id for one in letters}) >= 50:
            return events, letters
        assert time.monotonic() < deadline_s, f"{len(events)} events, {len(letters)} dead letters only"
        time.sleep(0.5)


async def test_latest_begins_at_the_end_once_and_never_skips_afterwards(
    kafka: KafkaSettings, foreign: MakeTopic
) -> None:
    """What was there before is left out; what comes while nobody reads, and in a new partition, is not."""
    topic = foreign("latest", 2)
    produce(kafka, topic, [{"key": b"%d" % n, "value": b"old"} for n in range(20)])
    publisher = FakePublisher()
    async with watching(kafka, topic, publisher, start="latest") as reports:
        await until(lambda: b'ensue_source_kafka_lag{source="orders",partition="1"} 0' in reports.text())
    produce(kafka, topic, [{"partition": n % 2, "value": b"while away"} for n in range(10)])
    _grow(kafka, topic, 3)
    produce(kafka, topic, [{"partition": 2, "value": b"new partition"} for _ in range(5)])
    async with watching(kafka, topic, publisher, start="latest"):
        await until(lambda: len(publisher.events) >= 15)
        await asyncio.sleep(0.5)
    values = [event.payload["value"] for event in publisher.events]
    assert sorted(values) == ["new partition"] * 5 + ["while away"] * 10


async def test_latest_stores_where_it_began_before_anything_is_done(
    kafka: KafkaSettings, foreign: MakeTopic
) -> None:
    """Who begins at the end and dies before its first commit misses nothing that came after it began."""
    topic = foreign("began", 2)
    produce(kafka, topic, [{"value": b"old"}])
    first = TopicReader(kafka, topic, f"{topic}.group", start="latest", properties=QUICK)
    await first.open()
    deadline_s = time.monotonic() + WITHIN_S
    while len((await first.take(10, 0.1)).positions) < 2:
        assert time.monotonic() < deadline_s, "it did not begin"
    await first.close()  # nothing was done, so nothing but the beginning is stored
    produce(kafka, topic, [{"value": b"new", "partition": n} for n in range(2)])
    second = TopicReader(kafka, topic, f"{topic}.group", start="latest", properties=QUICK)
    await second.open()
    found: list[bytes | None] = []
    deadline_s = time.monotonic() + 20
    while len(found) < 2 and time.monotonic() < deadline_s:
        found += [record.value for record in (await second.take(10, 0.1)).records]
    await second.close()
    assert found == [b"new", b"new"]


def _grow(kafka: KafkaSettings, topic: str, partitions: int) -> None:
    from confluent_kafka.admin import AdminClient, NewPartitions

    admin = AdminClient(librdkafka_config(kafka))
    admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(10)
    deadline_s = time.monotonic() + 10
    while len(admin.list_topics(topic, timeout=5).topics[topic].partitions) < partitions:
        assert time.monotonic() < deadline_s, "the partition was not made"
        time.sleep(0.1)


async def test_what_a_transaction_took_back_is_no_event(kafka: KafkaSettings, foreign: MakeTopic) -> None:
    """Aborted records of others were never there, and the lag counts their markers as read."""
    topic = foreign("transactions", 1)
    producer = Producer({**librdkafka_config(kafka), "transactional.id": f"{topic}-tx"})
    producer.init_transactions(30)
    for value, commit in ((b"gone", False), (b"kept", True), (b"gone too", False)):
        producer.begin_transaction()
        producer.produce(topic, value=value)
        producer.flush(10)
        if commit:
            producer.commit_transaction(10)
        else:
            producer.abort_transaction(10)
    publisher = FakePublisher()
    async with watching(kafka, topic, publisher) as reports:
        await until(
            lambda: (
                bool(publisher.events)
                and b'ensue_source_kafka_lag{source="orders",partition="0"} 0' in reports.text()
            )
        )
    assert [event.payload["value"] for event in publisher.events] == ["kept"]


async def test_two_gateways_share_a_topic_and_one_takes_over(
    kafka: KafkaSettings, foreign: MakeTopic
) -> None:
    """Each record reaches one of them; who waits stays a member; who goes leaves all to the other."""
    topic = foreign("shared")
    one, other = FakePublisher(), FakePublisher()
    async with watching(kafka, topic, one) as first:
        await until(lambda: first.text().count(b"ensue_source_kafka_lag") > 4)
        async with watching(kafka, topic, other) as second:
            await until(lambda: b"ensue_source_kafka_lag{" in second.text(), 30)
            await until(lambda: first.text().count(b"ensue_source_kafka_lag{") == 2, 30)
            one.hold = asyncio.Event()  # it cannot publish for longer than its session lasts
            produce(kafka, topic, [{"partition": n % 4, "value": b"%d" % n} for n in range(200)])
            await until(lambda: len(other.events) == 100)
            await asyncio.sleep(8)
            assert len(other.events) == 100, "a member that waits was taken for dead"
            one.hold.set()
            await until(lambda: len(one.events) == 100)
        produce(kafka, topic, [{"partition": n % 4, "value": b"%d" % n} for n in range(200, 300)])
        await until(lambda: len(one.events) >= 200)
    ids = {event.id for event in (*one.events, *other.events)}
    values = {event.payload["value"] for event in (*one.events, *other.events)}
    assert (len(ids), values) == (300, set(range(300)))


async def test_a_missing_topic_and_a_broker_that_dies_cost_time_only(broker_folder: Path) -> None:
    """It waits for the topic with a sentence, and goes on where it was when the broker is back."""
    broker = LocalBroker(broker_folder, choose_port(), properties=FORCED_COMPACTION)
    broker.start()
    publisher = FakePublisher()
    try:
        kafka = broker.settings()
        async with watching(kafka, "shop.late", publisher) as reports:
            await until(lambda: b"there is no topic shop.late" in reports.text())
            _topic(kafka.model_copy(update={"topic_prefix": "shop."}), "late", 2)
            produce(kafka, "shop.late", [{"value": b"%d" % n, "partition": n % 2} for n in range(50)])
            await until(lambda: len(publisher.events) == 50)
            await asyncio.to_thread(broker.kill)
            await until(lambda: b"ensue_source_kafka_error{" in reports.text())
            await asyncio.to_thread(broker.start)
            await asyncio.to_thread(
                produce,
                kafka,
                "shop.late",
                [{"value": b"%d" % n, "partition": n % 2} for n in range(50, 100)],
            )
            await until(lambda: len({event.id for event in publisher.events}) == 100, 90)
            await until(lambda: b"ensue_source_kafka_error{" not in reports.text())
    finally:
        await asyncio.to_thread(broker.stop)
    assert {event.payload["value"] for event in publisher.events} == set(range(100))


async def test_our_own_topic_under_another_address_is_refused(kafka: KafkaSettings) -> None:
    """The cluster's id gives it away, although the source names brokers of its own."""
    ensure_topics(kafka, kafka.topics().all())
    topic = kafka.topics().events.name
    publisher = FakePublisher()
    async with watching(kafka, topic, publisher, bootstrap_servers=kafka.bootstrap_servers) as reports:
        await until(lambda: b"is a topic of ours" in reports.text())
    assert not publisher.events


async def test_offsets_are_committed_no_further_than_acknowledged(
    kafka: KafkaSettings, foreign: MakeTopic
) -> None:
    """A publisher that never answers leaves the group where it was."""
    topic = foreign("uncommitted", 1)
    produce(kafka, topic, [{"value": b"%d" % n} for n in range(30)])
    stuck = FakePublisher(hold=asyncio.Event())
    async with watching(kafka, topic, stuck):
        await asyncio.sleep(4)
    publisher = FakePublisher()
    async with watching(kafka, topic, publisher):
        await until(lambda: len(publisher.events) == 30)
    assert bounds(librdkafka_config(kafka), topic, 0) == (0, 30)
    assert publisher.offsets == list(range(30))
