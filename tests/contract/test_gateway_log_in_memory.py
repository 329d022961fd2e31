"""The gateway's log over the one in memory."""

import pytest

from streams.kafka.memory import MemoryLog, MemoryProducer
from tests.contract.gateway_log_contract import PARTITIONS, GatewayLogContract, Read

pytestmark = pytest.mark.contract


class TestGatewayLogInMemory(GatewayLogContract):
    """In memory."""

    @pytest.fixture
    def topic(self) -> str:
        """The topic."""
        return "log"

    @pytest.fixture
    def memory(self) -> MemoryLog:
        """The log."""
        return MemoryLog({"log": PARTITIONS})

    @pytest.fixture
    def sender(self, memory: MemoryLog) -> MemoryProducer:
        """Its producer."""
        return MemoryProducer(memory)

    @pytest.fixture
    def read(self, memory: MemoryLog) -> Read:
        """Its values."""
        return lambda partition: [record.value or b"" for record in memory.records("log", partition)]
