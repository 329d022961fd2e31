"""What only a real Kafka shows: topics as declared, gaps in offsets, groups, a broker that goes and comes."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from confluent_kafka import Producer

from schemas.topics import Topic
from streams.errors import BadInput, Transport
from streams.kafka.admin import ensure_topics, wait_ready
from streams.kafka.batches import BEGINNING
from streams.kafka.config import librdkafka_config
from streams.kafka.consumer import LogReader
from streams.kafka.group import GroupConsumer
from streams.kafka.producer import EventProducer
from streams.kafka.record import Outgoing, Place, Record
from streams.local.ports import choose_port
from streams.settings import KafkaSettings

pytestmark = [pytest.mark.connected, pytest.mark.timeout(120)]

WAIT_S = 30.0


def wait_until(holds: Callable[[], object], timeout_s: float = WAIT_S) -> None:
    """Fail unless it holds within the time."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "not in time"


def write(producer: EventProducer, topic: str, partition: int, count: int, start: int = 0) -> None:
    """Write numbered records and wait for them."""
    futures = [producer.produce(topic, partition, b"k", b"%d" % n) for n in range(start, start + count)]
    for future in futures:
        future.result(WAIT_S)


def test_topics_are_created_checked_and_altered(kafka: KafkaSettings) -> None:
    """Created once; a changed setting is set; another partition count is refused with both figures."""
    first = Topic(
        name=kafka.topic_prefix + "a", key="", schema="", partitions=3, config={"retention.ms": "60000"}
    )
    second = Topic(name=kafka.topic_prefix + "b", key="", schema="", partitions=1)
    assert ensure_topics(kafka, [first, second]).created == (first.name, second.name)
    again = ensure_topics(kafka, [first, second])
    assert (again.created, again.altered) == ((), ())
    longer = replace(first, config={"retention.ms": "120000", "cleanup.policy": "delete"})
    assert ensure_topics(kafka, [longer, second]).altered == (first.name,)
    assert ensure_topics(kafka, [longer]).altered == ()
    with pytest.raises(BadInput, match=rf"{first.name} has 3 partitions, but 8 are configured"):
        ensure_topics(kafka, [replace(first, partitions=8)])


def test_two_creators_at_once_agree(kafka: KafkaSettings) -> None:
    """Several parts that start together and declare the same topics all succeed, each topic made once."""
    topics = [Topic(name=f"{kafka.topic_prefix}{n}", key="", schema="", partitions=2) for n in range(5)]
    made: list[str] = []
    errors: list[Exception] = []

    def declare() -> None:
        try:
            made.extend(ensure_topics(kafka, topics).created)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=declare) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sorted(made) == sorted(topic.name for topic in topics)


def test_a_setting_that_kafka_does_not_know_is_told(kafka: KafkaSettings) -> None:
    """The error names the topic."""
    wrong = Topic(name=kafka.topic_prefix + "w", key="", schema="", partitions=1, config={"no.such": "1"})
    with pytest.raises(Transport, match=rf"{wrong.name} could not be created"):
        ensure_topics(kafka, [wrong])


def test_waiting_for_nobody_ends() -> None:
    """With no broker there the wait ends in time and names the address."""
    nobody = KafkaSettings(bootstrap_servers=f"127.0.0.1:{choose_port()}")
    began = time.monotonic()
    with pytest.raises(Transport, match=nobody.bootstrap_servers):
        wait_ready(nobody, 1)
    assert time.monotonic() - began < 10


def test_the_end_is_reached_behind_transaction_markers(
    kafka: KafkaSettings, make_topic: Callable[..., str], producer: EventProducer
) -> None:
    """A commit marker takes an offset that no reader gets: the position passes it; uncommitted is read."""
    topic = make_topic()
    fenced = Producer(librdkafka_config(kafka, transactional_id=f"{topic}.tx", linger_ms=0))
    fenced.init_transactions(WAIT_S)
    for commits in (True, False):
        fenced.begin_transaction()
        fenced.produce(topic, b"in a transaction", partition=0)
        fenced.flush(WAIT_S)
        if commits:
            fenced.commit_transaction(WAIT_S)
    with LogReader(kafka) as reader:
        reader.assign({(topic, 0): BEGINNING})
        found: list[Record] = []
        wait_until(lambda: found.extend(reader.consume(10, 0.2)) or len(found) == 2)
        assert [record.offset for record in found] == [0, 2], "the second is uncommitted"
        fenced.commit_transaction(WAIT_S)
        _, end = reader.watermarks(topic, 0)
        assert end == 4
        wait_until(lambda: reader.consume(10, 0.2) or reader.positions[topic, 0] == end)
        assert reader.lag() == {(topic, 0): 0}


def test_the_end_is_reached_in_a_compacted_log(
    kafka: KafkaSettings, make_topic: Callable[..., str], producer: EventProducer
) -> None:
    """After forced compaction only newest values come, with gaps, and the position still reaches the end."""
    topic = make_topic(
        "compacted", cleanup_policy="compact", segment_ms="1000", min_cleanable_dirty_ratio="0.01"
    )
    write(producer, topic, 0, 200)
    time.sleep(1.1)
    write(producer, topic, 0, 1, start=200)  # closes the segment, so that it may be cleaned

    def read_all() -> list[Record]:
        with LogReader(kafka) as reader:
            reader.assign({(topic, 0): BEGINNING})
            _, end = reader.watermarks(topic, 0)
            found: list[Record] = []
            wait_until(lambda: found.extend(reader.consume(1000, 0.2)) or reader.positions[topic, 0] == end)
            return found

    wait_until(lambda: len(read_all()) < 201)
    assert read_all()[-1].value == b"200"


def test_an_offset_that_retention_removed_is_told(
    kafka: KafkaSettings, make_topic: Callable[..., str], producer: EventProducer
) -> None:
    """A reader never jumps silently: it says which offset of which partition is gone."""
    topic = make_topic()
    write(producer, topic, 0, 3)
    with LogReader(kafka) as reader:
        reader.assign({(topic, 0): 1000})
        with pytest.raises(Transport, match=rf"{topic}\[0\] is not in the log"):
            wait_until(lambda: reader.consume(10, 0.5))


def test_a_group_shares_partitions_and_continues_where_it_committed(
    kafka: KafkaSettings, make_topic: Callable[..., str], producer: EventProducer
) -> None:
    """Two members split the partitions; what leaves is told; the rest continues at the committed offset."""
    topic = make_topic(partitions=4)
    for partition in range(4):
        write(producer, topic, partition, 10)
    told: list[tuple[str, tuple[Place, ...]]] = []
    first = GroupConsumer(
        kafka,
        f"{topic}.g",
        [topic],
        on_assign=lambda places: told.append(("assigned", tuple(places))),
        on_revoke=lambda places, lost: told.append(("lost" if lost else "revoked", tuple(places))),
    )
    seen: list[Record] = []
    wait_until(lambda: seen.extend(first.consume(100, 0.2)) or len(seen) == 40)
    assert told == [("assigned", tuple((topic, n) for n in range(4)))]
    first.commit({(topic, n): 10 for n in range(4)}, wait=True)
    with GroupConsumer(kafka, f"{topic}.g", [topic]) as second:
        later: list[Record] = []
        wait_until(
            lambda: (
                later.extend((*first.consume(10, 0.1), *second.consume(10, 0.1)))
                or len(second.owned) == len(first.owned) == 2
            )
        )
        assert not later, "nothing committed comes again"
        (_, gone) = told[-1]
        assert told[-1][0] == "revoked"
        assert set(gone) == second.owned
        stays = next(iter(first.owned))
        first.commit(dict.fromkeys(gone, 3) | {stays: 10}, wait=True)  # what is no longer ours is left out
        for partition in range(4):
            write(producer, topic, partition, 1, start=10)
        wait_until(
            lambda: later.extend((*first.consume(10, 0.1), *second.consume(10, 0.1))) or len(later) >= 4
        )
        assert sorted((r.partition, r.offset) for r in later) == [(n, 10) for n in range(4)]
    first.close()
    assert told[-1][0] == "revoked"


def test_an_assignment_may_choose_its_offsets(
    kafka: KafkaSettings, make_topic: Callable[..., str], producer: EventProducer
) -> None:
    """Offsets from `on_assign` win over the committed ones."""
    topic = make_topic(partitions=1)
    write(producer, topic, 0, 10)
    with GroupConsumer(kafka, f"{topic}.g", [topic], on_assign=lambda _: {(topic, 0): 7}) as member:
        seen: list[Record] = []
        wait_until(lambda: seen.extend(member.consume(100, 0.2)) or len(seen) >= 3)
        assert [record.offset for record in seen] == [7, 8, 9]
        assert member.positions == {(topic, 0): 10}


def test_an_assignment_that_fails_is_raised(
    kafka: KafkaSettings, make_topic: Callable[..., str], producer: EventProducer
) -> None:
    """What `on_assign` raises comes out of `consume`; no record of that partition is handed out."""
    topic = make_topic(partitions=1)
    write(producer, topic, 0, 3)

    def refuse(places: object) -> None:
        raise Transport("the partition cannot be taken")

    member = GroupConsumer(kafka, f"{topic}.g", [topic], on_assign=refuse)
    seen: list[Record] = []
    with pytest.raises(Transport, match="cannot be taken"):
        wait_until(lambda: seen.extend(member.consume(100, 0.2)))
    assert not seen
    assert not member.owned
    member.close()


async def test_many_records_at_once(
    kafka: KafkaSettings, make_topic: Callable[..., str], producer: EventProducer
) -> None:
    """Ten thousand records of one request are acknowledged together, each with its own offset."""
    topic = make_topic()
    records = [Outgoing(topic, n % 4, b"k", b"x" * 400) for n in range(10_000)]
    began = time.perf_counter()
    outcomes = await producer.send_batch(records)
    print(f"{len(records) / (time.perf_counter() - began):.0f} records/s acknowledged")
    assert len({(o[0], o[1]) for o in outcomes if isinstance(o, tuple)}) == len(records)
