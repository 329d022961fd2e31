"""The in-memory log keeps the contract of logs."""

from typing import Any

import pytest

from streams.errors import Transport
from streams.kafka.memory import MemoryLog, MemoryProducer, MemoryReader
from tests.contract.log_contract import LogContract

pytestmark = pytest.mark.contract


class TestMemoryLog(LogContract):
    topic = "t.log"

    @pytest.fixture(autouse=True)
    def _fresh(self) -> None:
        self.log = MemoryLog({self.topic: 4})

    def writer(self, **bounds: Any) -> MemoryProducer:
        bounds.pop("delivery_timeout_s", None)
        return MemoryProducer(self.log, **bounds)

    def source(self) -> MemoryReader:
        return MemoryReader(self.log)


def test_held_records_wait_for_release() -> None:
    """A held producer takes records, answers none, and writes them in order when released."""
    log = MemoryLog({"t": 1})
    producer = MemoryProducer(log)
    producer.held = True
    futures = [producer.produce("t", 0, None, b"%d" % n) for n in range(3)]
    assert (producer.in_flight, log.records("t", 0)) == (3, [])
    assert not producer.flush(0.01)
    producer.release()
    assert [f.result().offset for f in futures] == [0, 1, 2]


def test_a_given_failure_reaches_the_waiting_one() -> None:
    """A producer that was given a failure writes nothing and is not healthy."""
    log = MemoryLog({"t": 1})
    producer = MemoryProducer(log)
    producer.failure = Transport("the broker is away")
    with pytest.raises(Transport, match="away"):
        producer.produce("t", 0, None, b"x").result()
    assert not producer.healthy
    assert log.records("t", 0) == []
