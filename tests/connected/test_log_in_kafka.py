"""Kafka itself keeps the contract of logs, beside what only Kafka does."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from streams.kafka.consumer import LogReader
from streams.kafka.producer import EventProducer
from streams.settings import KafkaSettings
from tests.contract.log_contract import LogContract

pytestmark = [pytest.mark.connected, pytest.mark.contract]


class TestKafkaLog(LogContract):
    @pytest.fixture(autouse=True)
    def _fresh(self, kafka: KafkaSettings, make_topic: Callable[..., str]) -> Iterator[None]:
        self.topic = make_topic()
        self.settings = kafka
        self.opened: list[Any] = []
        yield
        for client in self.opened:
            client.close()

    def writer(self, **bounds: Any) -> EventProducer:
        self.opened.append(EventProducer(self.settings, linger_ms=0, **bounds))
        return self.opened[-1]

    def source(self) -> LogReader:
        self.opened.append(LogReader(self.settings))
        return self.opened[-1]
