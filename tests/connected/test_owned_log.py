"""The owned log, its readers, and what survives a change of owners."""

import asyncio
import random
import threading

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from streams.kafka.config import librdkafka_config
from streams.kafka.fenced import FencedProducer, Row
from streams.kafka.owned_log import OwnedLog
from streams.kafka.reader import PartitionReader
from streams.kafka.tail import bounds, fold_latest, read_back, read_to_end

pytestmark = pytest.mark.connected


async def _open(client, name):
    fence = FencedProducer(client, name, commit_every_s=0.2)
    await asyncio.to_thread(fence.open)
    return fence


async def _take(client, topic, rows_min=200):
    fence = await _open(client, f"{topic}.0")
    log = OwnedLog(client, fence, topic, 0, rows_min=rows_min)
    await asyncio.to_thread(log.load)
    return fence, log


async def test_every_new_owner_finds_what_was_acknowledged(kafka, make_topic):
    """Random writes and tombstones under owners that are shut out without a word: the map is the model."""
    topic, client = make_topic(), librdkafka_config(kafka)
    dice, model, former = random.Random(7), {}, []
    for _ in range(6):
        fence, log = await _take(client, topic)
        former.append((fence, log))
        assert dict(log.rows) == model
        for _ in range(40):
            rows = [
                (b"k%d" % dice.randrange(60), None if dice.random() < 0.2 else b"%d" % dice.randrange(10**6))
                for _ in range(dice.randrange(1, 20))
            ]
            model.update(rows)
            await asyncio.wrap_future(log.write(rows))
        model = {key: value for key, value in model.items() if value is not None}
    assert bounds(client, topic, 0)[0] > 0, "snapshots have let the log's beginning go"
    for fence, log in former:
        log.close()
        await asyncio.to_thread(fence.close)


async def test_a_snapshot_without_its_mark_counts_for_nothing(kafka, make_topic):
    """An owner that dies within a snapshot leaves the former one in force."""
    topic, client = make_topic(), librdkafka_config(kafka)
    fence, log = await _take(client, topic, rows_min=10**9)
    await asyncio.wrap_future(log.write((b"k%d" % n, b"old") for n in range(100)))
    await log.snapshot()
    await asyncio.wrap_future(log.write([(b"k1", b"new"), (b"k2", None)]))
    torn = [Row(topic, 0, b"k%d" % n, b"old") for n in range(3, 50)]
    await asyncio.wrap_future(fence.write(torn))
    fence2, log2 = await _take(client, topic)
    assert log2.rows[b"k1"] == b"new"
    assert b"k2" not in log2.rows
    assert len(log2.rows) == 99
    for one in (fence, fence2):
        await asyncio.to_thread(one.close)


async def test_an_empty_snapshot_is_one_too(kafka, make_topic):
    """When nothing lives any more the snapshot is its mark alone."""
    topic, client = make_topic(), librdkafka_config(kafka)
    fence, log = await _take(client, topic, rows_min=10**9)
    await asyncio.wrap_future(log.write([(b"k", b"v")]))
    await asyncio.wrap_future(log.write([(b"k", None)]))
    await log.snapshot()
    fence2, log2 = await _take(client, topic)
    assert dict(log2.rows) == {}
    assert sum(len(batch) for batch in read_to_end(client, topic, 0)) == 1
    for one in (fence, fence2):
        await asyncio.to_thread(one.close)


async def test_the_ends_of_logs_are_found_behind_markers(kafka, make_topic):
    """A log that ends in a transaction marker is read to its end at once, forwards and backwards."""
    topic, client = make_topic(), librdkafka_config(kafka)
    fence = await _open(client, f"{topic}.1")
    for n in range(5):
        await asyncio.wrap_future(fence.send(topic, 1, b"k%d" % (n % 2), b"%d" % n))
        await asyncio.to_thread(fence.commit)
    assert bounds(client, topic, 1) == (0, 10)
    assert [r.value for batch in read_to_end(client, topic, 1) for r in batch] == [
        b"%d" % n for n in range(5)
    ]
    assert fold_latest(client, topic, 1)[b"k0"].value == b"4"
    tail = read_back(client, topic, 1, lambda t: any(r.value == b"2" for r in t), first_step=1)
    assert [r.value for r in tail][-3:] == [b"2", b"3", b"4"]
    assert read_back(client, topic, 2, lambda t: False) == []
    await asyncio.to_thread(fence.close)


def test_a_reader_that_is_put_aside_again_and_again_leaves_nothing_out(kafka, make_topic):
    """With a credit of ten records each partition arrives whole and in order, markers in between."""
    topic, client = make_topic(), librdkafka_config(kafka)
    fences = [FencedProducer(client, f"{topic}.{p}", commit_every_s=0.05) for p in range(4)]
    for fence in fences:
        fence.open()
    reader = PartitionReader(client, waiting_max=10)
    got: dict[int, list[bytes]] = {p: [] for p in range(4)}
    whole = threading.Event()

    def sink(records):
        partition = records[0].partition
        got[partition] += [r.value for r in records]
        reader.taken(topic, partition, len(records))
        if all(len(values) == 1_500 for values in got.values()):
            whole.set()

    for partition in range(4):
        reader.start(topic, partition, 0, sink)
    for n in range(1_500):
        for partition, fence in enumerate(fences):
            fence.send(topic, partition, None, b"%d" % n)
    assert whole.wait(60), {p: len(values) for p, values in got.items()}
    assert all(values == [b"%d" % n for n in range(1_500)] for values in got.values())
    for fence in fences:
        fence.close()
    reader.close()


@pytest.mark.parametrize("asked", [0, 10_000])
def test_a_reader_whose_offset_is_gone_goes_on_at_the_beginning(kafka, make_topic, asked):
    """Deleted by retention or never there: the log is read from where it begins, not silently skipped."""
    topic, client = make_topic(), librdkafka_config(kafka)
    fence = FencedProducer(client, f"{topic}.0")
    fence.open()
    fence.write([Row(topic, 0, None, b"%d" % n) for n in range(10)]).result(10)
    admin = AdminClient(client)
    for done in admin.delete_records([TopicPartition(topic, 0, 5)]).values():
        done.result(10)
    reader, got, whole = PartitionReader(client), [], threading.Event()

    def sink(records):
        got.extend(r.offset for r in records)
        if got[-1] == 9:
            whole.set()

    reader.start(topic, 0, asked, sink)
    assert whole.wait(20)
    assert got == [5, 6, 7, 8, 9]
    fence.close()
    reader.close()
