"""What the gateway relies on of its event log, whatever stands behind it."""

import asyncio
from collections.abc import Callable, Sequence

from streams.gateway.gathered_log import GatheredLog
from streams.gateway.kafka_log import BatchProducer, KafkaEventLog
from streams.gateway.ports import Row

PARTITIONS = 2
Read = Callable[[int], Sequence[bytes]]


def rows(start: int, count: int) -> list[Row]:
    """Numbered rows, in turn over the partitions."""
    return [(n % PARTITIONS, b"k", b"%d" % n) for n in range(start, start + count)]


class GatewayLogContract:
    """Subclasses bring fixtures `sender` (a producer), `topic` and `read` (values of a partition)."""

    async def test_rows_are_acknowledged_and_in_order(
        self, sender: BatchProducer, topic: str, read: Read
    ) -> None:
        """Nothing fails, and each partition holds its rows in the order given, for few and for many."""
        log = KafkaEventLog(sender)
        assert list(await log.append(topic, rows(0, 3))) == []
        assert list(await log.append(topic, rows(3, 2000))) == []
        for partition in range(PARTITIONS):
            assert list(read(partition)) == [b"%d" % n for n in range(2003) if n % PARTITIONS == partition]

    async def test_gathered_rows_keep_their_order(
        self, sender: BatchProducer, topic: str, read: Read
    ) -> None:
        """Many small appends and a large one among them arrive in the order they were begun."""
        log = GatheredLog(KafkaEventLog(sender), ack_timeout_s=10)
        small = [asyncio.ensure_future(log.append(topic, rows(n, 1))) for n in range(100)]
        await asyncio.sleep(0)
        large = asyncio.ensure_future(log.append(topic, rows(100, 100)))
        await asyncio.sleep(0)
        after = [asyncio.ensure_future(log.append(topic, rows(n, 1))) for n in range(200, 300)]
        outcomes = await asyncio.gather(*small, large, *after)
        assert all(list(failed) == [] for failed in outcomes)
        for partition in range(PARTITIONS):
            assert list(read(partition)) == [b"%d" % n for n in range(300) if n % PARTITIONS == partition]

    async def test_a_row_that_cannot_be_written_is_named(self, sender: BatchProducer, topic: str) -> None:
        """The index of a row for a partition that does not exist comes back, alone."""
        log = KafkaEventLog(sender)
        assert list(await log.append(topic, [*rows(0, 2), (99, b"k", b"x"), *rows(2, 1)])) == [2]
