"""What both kinds of consumer share: settings, and taking a batch without waiting for it to fill."""

from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError

from streams.errors import BadInput, EnsueError, Transport
from streams.kafka.log_record import from_message
from streams.kafka.record import Place, Record

BEGINNING = -2
END = -1

CONSUMER_PROPERTIES: Mapping[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "isolation.level": "read_uncommitted",  # transactions are only a fence here (DESIGN 5.8)
    "enable.partition.eof": True,  # the end is what the broker says, gaps included
    "fetch.wait.max.ms": 100,
    "fetch.error.backoff.ms": 50,
    "fetch.queue.backoff.ms": 5,
    "fetch.message.max.bytes": 4 << 20,
    "queued.max.messages.kbytes": 64 << 10,
}
_AWAY = frozenset(
    (
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 - librdkafka's own codes
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._RESOLVE,  # noqa: SLF001
    )
)
_REFUSED = frozenset(
    (
        KafkaError._AUTHENTICATION,  # noqa: SLF001
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
    )
)


class Batches:
    """A confluent-kafka consumer, read in batches.

    Args:
        config: the client's configuration.
        moved: told the next offset of each partition that advanced.

    """

    def __init__(self, config: Mapping[str, Any], moved: Callable[[Place, int], None]) -> None:
        self.consumer: Any = Consumer({**config, "error_cb": self._on_error})
        self._moved = moved
        self._failure: EnsueError | None = None
        self.away = ""  # what the client last said of a cluster it cannot reach; emptied by better news

    def take(self, count_max: int, timeout_s: float) -> list[Record]:
        """Return up to `count_max` records, waiting at most `timeout_s` for the first, not at all for more.

        A broker that is away gives an empty batch: the client reconnects by itself. A failure in the middle
        is raised by the next call, so that the records before it are not lost.
        """
        self._raise_failure()
        head = self.consumer.poll(timeout_s)
        if head is None:
            self._raise_failure()
            return []
        messages = [head]
        if count_max > 1:
            messages += self.consumer.consume(count_max - 1, 0)
        batch: list[Record] = []
        last: dict[Place, int] = {}
        for message in messages:
            error = message.error()
            if error is None:
                record = from_message(message)
                batch.append(record)
                last[record.topic, record.partition] = record.offset + 1
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                # The position behind gaps, so that who waits for the end gets there.
                last[message.topic(), message.partition()] = message.offset()
            elif error.code() not in _AWAY:
                self._failure = _failure(error, message)
        for place, offset in last.items():
            self._moved(place, offset)
        if not batch:
            self._raise_failure()
        return batch

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _on_error(self, error: KafkaError) -> None:
        # Only these never mend themselves; what goes on by itself is in the client's log.
        if error.code() in _REFUSED:
            self._failure = BadInput(
                f"the Kafka broker refused our user: {error.str()}. "
                "Check ENSUE_KAFKA__SASL_USERNAME and ENSUE_KAFKA__SASL_PASSWORD"
            )
        elif error.code() in _AWAY:
            self.away = error.str()
        elif error.fatal():
            self._failure = Transport(f"the Kafka client cannot go on: {error.str()}; start this part again")


def _failure(error: KafkaError, message: Any) -> EnsueError:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    where = f"{topic}[{partition}]" if topic else "the broker"
    if error.code() in _REFUSED:
        return BadInput(f"reading {where} was refused: {error.str()}. Check user, password and ACLs of Kafka")
    if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
        return Transport(
            f"offset {offset} of {where} is not in the log ({error.str()}): retention removed it or the "
            "topic was made anew. Choose where to go on; what lies between is lost to this reader"
        )
    return Transport(f"{where} cannot be read: {error.str()}; try again")
