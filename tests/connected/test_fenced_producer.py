"""The fence on a real broker: who holds the id writes, nobody else."""

import asyncio
import os
import signal
import time

import pytest

from schemas.topics import Topic
from streams.errors import Fenced, Transport
from streams.kafka.admin import ensure_topics
from streams.kafka.config import librdkafka_config
from streams.kafka.fenced import FencedProducer, Row
from streams.kafka.tail import bounds, fold_latest, read_to_end
from streams.local.broker import LocalBroker
from streams.local.ports import choose_port

pytestmark = pytest.mark.connected


def _values(client, topic, partition=0):
    return [r.value for batch in read_to_end(client, topic, partition) for r in batch]


def test_a_newer_owner_shuts_the_former_out(kafka, make_topic):
    """The former owner's late write is refused as Fenced, says so once, and never reaches the log."""
    topic, client = make_topic(), librdkafka_config(kafka)
    lost = []
    former = FencedProducer(client, f"{topic}.0", on_lost=lost.append)
    former.open()
    former.send(topic, 0, b"k", b"first").result(10)
    newer = FencedProducer(client, f"{topic}.0")
    newer.open()
    with pytest.raises(Fenced):
        former.send(topic, 0, b"k", b"late").result(10)
    with pytest.raises(Fenced):
        former.send(topic, 0, b"k", b"later").result(10)
    newer.send(topic, 0, b"k", b"new").result(10)
    assert _values(client, topic) == [b"first", b"new"]
    assert [type(reason) for reason in lost] == [Fenced]
    former.close()
    newer.close()


def test_groups_resolve_to_offsets_in_order_over_commits(kafka, make_topic):
    """Commits every 50 ms under steady writes neither lose, double nor reorder a row."""
    topic, client = make_topic(), librdkafka_config(kafka)
    fence = FencedProducer(client, f"{topic}.1", commit_every_s=0.05)
    fence.open()
    futures, until = [], time.monotonic() + 2
    while time.monotonic() < until:
        n = 3 * len(futures)
        futures.append(fence.write([Row(topic, 1, None, b"%d" % (n + i)) for i in range(3)]))
        time.sleep(0.002)
    fence.flush()
    offsets = [offset for future in futures for offset in future.result(10)]
    assert offsets == sorted(set(offsets))
    assert _values(client, topic, 1) == [b"%d" % n for n in range(3 * len(futures))]
    assert bounds(client, topic, 1)[1] > len(offsets), "there are transaction markers in between"
    fence.close()


async def test_who_stops_waiting_does_not_harm_the_group(kafka, make_topic):
    """A cancelled await leaves the write on its way, and the producer as good as before."""
    topic, client = make_topic(), librdkafka_config(kafka)
    fence = FencedProducer(client, f"{topic}.2")
    await asyncio.to_thread(fence.open)
    waiting = asyncio.ensure_future(asyncio.wrap_future(fence.send(topic, 2, b"k", b"one")))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wrap_future(fence.send(topic, 2, b"k", b"two"))
    await asyncio.to_thread(fence.close)
    assert _values(client, topic, 2) == [b"one", b"two"]


def test_many_fences_open_and_close_without_piling_up(kafka, make_topic):
    """A closed producer fails what is written to it; the id can be taken again at once."""
    topic, client = make_topic(), librdkafka_config(kafka)
    for n in range(3):
        fence = FencedProducer(client, f"{topic}.3")
        fence.open()
        fence.send(topic, 3, b"k", b"%d" % n).result(10)
        fence.close()
        with pytest.raises(Transport):
            fence.send(topic, 3, b"k", b"never").result(10)
    assert fold_latest(client, topic, 3)[b"k"].value == b"2"


def test_waiting_for_a_silent_broker_costs_no_processor(broker_folder):
    """Rows that come while others are unanswered wait in our hands: librdkafka would spin on them."""
    broker = LocalBroker(broker_folder, choose_port())
    broker.start()
    try:
        ensure_topics(broker.settings(), [Topic(name="log", key="", schema="", partitions=1)])
        fence = FencedProducer(librdkafka_config(broker.settings()), "log.0")
        fence.open()
        fence.send("log", 0, None, b"first").result(10)
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            futures = [fence.write([Row("log", 0, None, b"%d" % n) for n in range(20)]) for _ in range(20)]
            time.sleep(0.2)
            before_s, began_s = time.process_time(), time.monotonic()
            time.sleep(1.5)
            used = (time.process_time() - before_s) / (time.monotonic() - began_s)
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        offsets = [offset for future in futures for offset in future.result(10)]
        assert offsets == sorted(set(offsets))
        assert used < 0.5, f"{used:.2f} of a core while nothing could be done"
        fence.close()
    finally:
        broker.stop()


@pytest.mark.soak
def test_compaction_takes_what_a_shut_out_owner_wrote_last(kafka, make_topic):
    """Why owned topics are not compacted by the broker: acknowledged rows of an aborted transaction go."""
    topic = make_topic(
        cleanup_policy="compact",
        segment_ms="1000",
        min_cleanable_dirty_ratio="0.01",
        min_compaction_lag_ms="0",
    )
    client = librdkafka_config(kafka)
    former = FencedProducer(client, f"{topic}.0")
    former.open()
    former.send(topic, 0, b"claim", b"acknowledged").result(10)
    newer = FencedProducer(client, f"{topic}.0", commit_every_s=0.2)
    newer.open()
    assert b"claim" in fold_latest(client, topic, 0)
    until = time.monotonic() + 60
    while b"claim" in fold_latest(client, topic, 0):
        assert time.monotonic() < until, "the cleaner kept it: then owned topics could be compacted again"
        newer.send(topic, 0, b"other", b"rolls the segment").result(10)
        time.sleep(1.1)
    former.close(clean=False)
    newer.close()
