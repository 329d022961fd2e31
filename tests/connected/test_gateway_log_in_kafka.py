"""The gateway's log over Kafka."""

from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, TopicPartition

from streams.kafka.config import librdkafka_config
from streams.kafka.producer import EventProducer
from streams.settings import KafkaSettings
from tests.contract.gateway_log_contract import PARTITIONS, GatewayLogContract, Read

pytestmark = pytest.mark.connected


class TestGatewayLogInKafka(GatewayLogContract):
    """In Kafka."""

    @pytest.fixture
    def topic(self, make_topic: Callable[..., str]) -> str:
        """A topic of this test's own."""
        return make_topic(partitions=PARTITIONS)

    @pytest.fixture
    def sender(self, producer: EventProducer) -> EventProducer:
        """The real producer."""
        return producer

    @pytest.fixture
    def read(self, kafka: KafkaSettings, topic: str) -> Read:
        """Values of a partition, from its beginning to its end."""

        def values(partition: int) -> list[bytes]:
            consumer = Consumer(librdkafka_config(kafka, {"group.id": "reader"}))
            _, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
            consumer.assign([TopicPartition(topic, partition, 0)])
            found: list[bytes] = []
            while len(found) < high:
                found += [message.value() for message in consumer.consume(1000, 0.2)]
            consumer.close()
            return found

        return values
