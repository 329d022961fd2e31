"""What every log must do, whether in memory or in Kafka; inherited by both suites."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping

import pytest

from streams.errors import Overload, Transport
from streams.kafka.batches import BEGINNING, END
from streams.kafka.completion import Outcome
from streams.kafka.ports import LogSource, LogWriter
from streams.kafka.record import Delivery, Outgoing, Place, Record

WAIT_S = 20.0


def read(source: LogSource, count: int, timeout_s: float = WAIT_S) -> list[Record]:
    """Read until `count` records came, a bounded number of times."""
    found: list[Record] = []
    for _ in range(int(timeout_s / 0.1)):
        found += source.consume(100, 0.1)
        if len(found) >= count:
            break
    return found


class LogContract(ABC):
    """Topic `self.topic` has four partitions and is empty at the start of each test."""

    topic: str

    @abstractmethod
    def writer(self, **bounds: int) -> LogWriter:
        """A new writer."""

    @abstractmethod
    def source(self) -> LogSource:
        """A new reader, nothing assigned."""

    def outgoing(self, number: int, partition: int = 0) -> Outgoing:
        """A record that can be told from others."""
        return Outgoing(self.topic, partition, b"key-%d" % number, b"value-%d" % number)

    def all_from(self, offset: int) -> Mapping[Place, int]:
        """Every partition from one offset."""
        return {(self.topic, partition): offset for partition in range(4)}

    def test_a_delivery_says_where_the_record_is(self) -> None:
        """The future of a write holds partition, offset and append time, and the record is there."""
        writer, source = self.writer(), self.source()
        first = writer.produce(self.topic, 2, b"k", b"v", [("a", b"1"), ("b", b"2")]).result(WAIT_S)
        second = writer.produce(self.topic, 2, None, None).result(WAIT_S)
        assert (first.partition, first.offset, second.offset) == (2, 0, 1)
        assert 0 < first.timestamp_ms <= second.timestamp_ms
        source.assign({(self.topic, 2): BEGINNING})
        one, two = read(source, 2)
        assert one == Record(self.topic, 2, 0, first.timestamp_ms, b"k", b"v", one.headers)
        assert list(one.headers) == [("a", b"1"), ("b", b"2")]
        assert (two.offset, two.key, two.value, list(two.headers)) == (1, None, None, [])

    def test_a_partition_keeps_the_order_of_writing(self) -> None:
        """A batch spread over partitions comes back in order within each."""
        outcomes = self.write_batch([self.outgoing(n, n % 4) for n in range(200)])
        assert [o.partition for o in outcomes if isinstance(o, Delivery)] == [n % 4 for n in range(200)]
        source = self.source()
        source.assign(self.all_from(BEGINNING))
        records = read(source, 200)
        assert len(records) == 200
        for partition in range(4):
            values = [r.value for r in records if r.partition == partition]
            assert values == [b"value-%d" % n for n in range(partition, 200, 4)]

    def test_a_batch_is_answered_once_with_an_outcome_each(self) -> None:
        """`on_done` runs once; a record for a partition that does not exist fails alone."""
        calls: list[list[Outcome]] = []
        done = threading.Event()

        def on_done(outcomes: list[Outcome]) -> None:
            calls.append(outcomes)
            done.set()

        self.writer(delivery_timeout_s=5).produce_batch(
            [self.outgoing(1), self.outgoing(2, 99), self.outgoing(3)], on_done
        )
        assert done.wait(WAIT_S)
        assert len(calls) == 1
        first, second, third = calls[0]
        assert isinstance(first, Delivery)
        assert isinstance(third, Delivery)
        assert isinstance(second, Transport)
        assert f"{self.topic}[99]" in str(second)

    def test_an_empty_batch_is_done_at_once(self) -> None:
        """Nothing to write is answered with nothing."""
        assert self.write_batch([]) == []

    async def test_waiting_in_a_loop(self) -> None:
        """`send` and `send_batch` resolve in the loop that asked."""
        writer = self.writer()
        one = await writer.send(self.outgoing(1))
        more = await writer.send_batch([self.outgoing(n) for n in range(2, 5)])
        assert [one.offset, *(o.offset for o in more if isinstance(o, Delivery))] == [0, 1, 2, 3]

    def test_a_batch_beyond_the_bound_is_refused_whole(self) -> None:
        """Overload takes nothing: neither count nor bytes may pass the bound, and the log stays empty."""
        for bounds in ({"count_max": 9}, {"bytes_max": 700}):
            writer = self.writer(**bounds)
            with pytest.raises(Overload, match="Nothing was taken"):
                writer.produce_batch([self.outgoing(n) for n in range(10)], lambda _: None)
            assert writer.in_flight == 0
            writer.produce(self.topic, 3, None, b"fits").result(WAIT_S)
        assert self.source().watermarks(self.topic, 0) == (0, 0)

    def test_flush_waits_for_every_answer(self) -> None:
        """After a flush nothing is in flight and every future is done."""
        writer = self.writer()
        futures = [writer.produce(self.topic, 0, None, b"%d" % n) for n in range(50)]
        assert writer.flush(WAIT_S)
        assert writer.in_flight == 0
        assert all(future.done() for future in futures)
        assert writer.healthy

    def test_positions_lag_and_watermarks(self) -> None:
        """Positions follow what was handed out; lag is what is left; the end is the offset after the last."""
        self.write_batch([self.outgoing(n) for n in range(10)])
        source = self.source()
        source.assign({(self.topic, 0): 4, (self.topic, 1): END})
        assert source.positions == {(self.topic, 0): 4, (self.topic, 1): 0}
        assert [r.offset for r in read(source, 6)] == [4, 5, 6, 7, 8, 9]
        assert source.positions == {(self.topic, 0): 10, (self.topic, 1): 0}
        assert source.lag()[self.topic, 0] == 0
        assert source.watermarks(self.topic, 0) == (0, 10)

    def test_the_end_means_only_what_comes_after(self) -> None:
        """A reader at END sees what is written later, and nothing older."""
        self.write_batch([self.outgoing(1)])
        source = self.source()
        source.assign({(self.topic, 0): END})
        self.write_batch([self.outgoing(2)])
        assert [r.value for r in read(source, 1)] == [b"value-2"]

    def test_seek_goes_back_and_on(self) -> None:
        """After a seek the same records come again, each once."""
        self.write_batch([self.outgoing(n) for n in range(5)])
        source = self.source()
        source.assign({(self.topic, 0): BEGINNING})
        read(source, 5)
        source.seek(self.topic, 0, 3)
        assert [r.offset for r in read(source, 2)] == [3, 4]

    def test_seek_needs_an_assigned_partition(self) -> None:
        """Moving a partition that is not read is an error that names it."""
        with pytest.raises(Transport, match="could not be moved"):
            self.source().seek(self.topic, 1, 0)

    def test_pause_holds_one_partition_back(self) -> None:
        """A paused partition gives nothing while others do, and continues without a gap."""
        self.write_batch([self.outgoing(n, n % 2) for n in range(10)])
        source = self.source()
        source.assign({(self.topic, 0): BEGINNING, (self.topic, 1): BEGINNING})
        source.pause([(self.topic, 0)])
        assert {r.partition for r in read(source, 6, 1.0)} == {1}
        source.resume([(self.topic, 0)])
        assert [r.offset for r in read(source, 5)] == [0, 1, 2, 3, 4]

    def test_consume_takes_no_more_than_asked(self) -> None:
        """A batch has at most the asked number of records, and the rest comes next."""
        self.write_batch([self.outgoing(n) for n in range(10)])
        source = self.source()
        source.assign({(self.topic, 0): BEGINNING})
        sizes = [len(source.consume(3, 5.0)) for _ in range(4)]
        assert max(sizes) <= 3
        assert sum(sizes) + len(read(source, 10 - sum(sizes), 2.0)) == 10

    def write_batch(self, records: list[Outgoing]) -> list[Outcome]:
        """Write and wait."""
        done = threading.Event()
        kept: list[Outcome] = []

        def on_done(outcomes: list[Outcome]) -> None:
            kept.extend(outcomes)
            done.set()

        self.writer().produce_batch(records, on_done)
        assert done.wait(WAIT_S)
        return kept
