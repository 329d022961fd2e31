"""A Faust app of ours on a real broker: assigned, delivered through its agent, committed, taken up again."""

import asyncio
from pathlib import Path

import pytest

from schemas.new_id import new_id
from schemas.topics import Topic
from streams.agents.app import WorkerApp
from streams.agents.ownership import Ownership
from streams.agents.shard import Batch, OwnerState, Role
from streams.kafka.admin import ensure_topics
from streams.kafka.config import librdkafka_config
from streams.kafka.fenced import FencedProducer
from streams.kafka.producer import EventProducer
from streams.kafka.reader import PartitionReader
from streams.kafka.record import Outgoing
from streams.local.broker import LocalBroker
from streams.settings import KafkaSettings

pytestmark = pytest.mark.connected
PARTITIONS = 2


class _Shard:
    def __init__(self, handled: list[bytes]) -> None:
        self._handled = handled

    async def load(self, fence: FencedProducer) -> None: ...

    async def handle(self, batch: Batch) -> None:
        self._handled += [r.value for r in batch.records]

    async def refuse(self, record, error) -> None: ...

    def drop(self) -> None: ...


class _Worker:
    """One worker with one role whose shards remember what they were given."""

    def __init__(self, kafka: KafkaSettings, topic: str, data: Path) -> None:
        client = librdkafka_config(kafka)
        self.handled: list[bytes] = []
        self.app = WorkerApp(kafka, group=topic, data=data, session_timeout_s=6)
        self.reader = PartitionReader(client)
        deliver, self.agent = self.app.agent("seen", topic)
        self.ownership = Ownership(
            Role(name="seen", topic=topic),
            group=self.app.group,
            reader=self.reader,
            open_fence=lambda p, lost: FencedProducer(client, f"{topic}.seen.{p}", on_lost=lost),
            shards=lambda _: _Shard(self.handled),
            deliver=deliver,
        )
        self.app.add(self.ownership)

    async def start(self) -> None:
        await self.app.start()
        await _until(lambda: list(self.ownership.states.values()).count(OwnerState.ACTIVE) == PARTITIONS)

    async def stop(self) -> None:
        await self.app.stop()
        await asyncio.to_thread(self.reader.close)


async def _until(true) -> None:
    for _ in range(600):
        if true():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come true within 30 s")


async def test_a_worker_goes_on_where_the_last_one_stopped(kafka, make_topic, producer, tmp_path):
    """Records come through the agent; nothing moves while it is stopped; a new worker repeats nothing."""
    topic = make_topic(partitions=PARTITIONS)
    first = _Worker(kafka, topic, tmp_path / "first")
    await first.start()
    for n in range(4):
        await producer.send(Outgoing(topic, n % PARTITIONS, b"k", b"%d" % n))
    await _until(lambda: len(first.handled) == 4)

    await first.agent.stop()
    await producer.send(Outgoing(topic, 0, b"k", b"4"))
    await asyncio.sleep(1)
    assert len(first.handled) == 4, "without its agent a role does nothing"
    await first.agent.restart()
    await _until(lambda: len(first.handled) == 5)
    await first.stop()

    second = _Worker(kafka, topic, tmp_path / "second")
    await second.start()
    await producer.send(Outgoing(topic, 1, b"k", b"5"))
    await _until(lambda: second.handled == [b"5"])
    await second.stop()


async def test_a_worker_whose_leader_saw_no_topics_gets_its_partitions(kafka, producer, tmp_path):
    """A group that formed before its topics were known (as after a broker's restart) rejoins in seconds."""
    topic = f"late-{new_id()}"
    worker = _Worker(kafka, topic, tmp_path / "worker")
    await worker.app.start()
    try:
        await asyncio.sleep(5)
        assert not worker.ownership.states
        ensure_topics(kafka, [Topic(name=topic, key="", schema="", partitions=PARTITIONS)])
        await producer.send(Outgoing(topic, 0, b"k", b"late"))
        await _until(lambda: worker.handled == [b"late"])
    finally:
        await worker.stop()


@pytest.mark.timeout(180)
async def test_a_worker_outlives_its_broker(broker_folder, tmp_path):
    """The broker is killed and started again: the worker goes on by itself, fence and group included."""
    broker = LocalBroker(broker_folder)
    await asyncio.to_thread(broker.start)
    kafka = broker.settings()
    topic = "outlived"
    ensure_topics(kafka, [Topic(name=topic, key="", schema="", partitions=PARTITIONS)])
    worker = _Worker(kafka, topic, tmp_path / "worker")
    try:
        await worker.start()
        with EventProducer(kafka) as before:
            await before.send(Outgoing(topic, 0, b"k", b"before"))
        await _until(lambda: worker.handled == [b"before"])
        await asyncio.to_thread(broker.kill)
        await asyncio.sleep(2)
        await asyncio.to_thread(broker.start)
        with EventProducer(broker.settings()) as after:
            for partition in range(PARTITIONS):
                await after.send(Outgoing(topic, partition, b"k", b"after"))
        await _until(lambda: worker.handled.count(b"after") >= PARTITIONS)
    finally:
        await worker.stop()
        await asyncio.to_thread(broker.stop)
