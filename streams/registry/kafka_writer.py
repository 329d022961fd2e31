"""The registry's one writer on Kafka: a transactional id whose newest holder shuts the others out."""

from streams.errors import Fenced
from streams.kafka.config import librdkafka_config
from streams.kafka.fenced import FencedProducer
from streams.settings import KafkaSettings

_ACK_TIMEOUT_S = 10.0


class KafkaWriter:
    """One tenure; see `streams.kafka.fenced`."""

    def __init__(self, producer: FencedProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic

    @classmethod
    def open(cls, settings: KafkaSettings, topic: str) -> "KafkaWriter":
        """Take the topic over; blocks up to some seconds; raises Fenced or Transport."""
        # No prefix: whoever writes this topic gives out its ids, whatever else it is called.
        producer = FencedProducer(librdkafka_config(settings), f"ensue.registry.{topic}")
        producer.open()
        return cls(producer, topic)

    @property
    def usable(self) -> bool:
        """Whether the tenure lasts; a fenced one is kept, so that its loss is told and not taken back."""
        return self._producer.lost is None or isinstance(self._producer.lost, Fenced)

    def write(self, key: bytes, value: bytes | None) -> int:
        """Return the offset once acknowledged; raises Fenced, Overload, Transport or TimeoutError."""
        return self._producer.send(self._topic, 0, key, value).result(_ACK_TIMEOUT_S)[0]

    def close(self) -> None:
        """Give the tenure back."""
        self._producer.close()
