"""Reading the triggers log into a catalog, and writing to it as its only writer for the moment."""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from schemas.codec import Codec, UndecodableError
from schemas.record import Trigger
from streams.errors import Transport
from streams.kafka.config import librdkafka_config
from streams.kafka.consumer import LogReader
from streams.kafka.fenced import FencedProducer, Row
from streams.kafka.ports import LogSource
from streams.kafka.record import Record
from streams.settings import KafkaSettings

_log = logging.getLogger(__name__)
PARTITION = 0
ACK_TIMEOUT_S = 30.0


class DefinitionsWriter(Protocol):
    """A tenure as the log's only writer; opening it shut every former one out."""

    def write(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Return once all (key, value) are acknowledged; raises Fenced or Transport."""
        ...

    def close(self) -> None:
        """Give the tenure back."""
        ...


class DefinitionsLog(Protocol):
    """The triggers log as publishing needs it; Kafka's or a test's."""

    topic: str

    def open_writer(self) -> DefinitionsWriter:
        """Shut every other writer out; raises Fenced or Transport."""
        ...

    def open_reader(self) -> LogSource:
        """Return a reader of its own; the caller closes it."""
        ...


class KafkaDefinitionsLog:
    """The topic `triggers` of an installation."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self._settings = settings
        self.topic = topic

    def open_writer(self) -> DefinitionsWriter:
        """Shut every other writer out; blocks up to some seconds; raises Fenced or Transport."""
        producer = FencedProducer(librdkafka_config(self._settings), f"ensue.catalog.{self.topic}")
        producer.open()
        return _KafkaWriter(producer, self.topic)

    def open_reader(self) -> LogSource:
        """Return a reader of its own; the caller closes it."""
        return LogReader(self._settings, client_id="ensue-catalog", properties={"fetch.wait.max.ms": 500})


class _KafkaWriter:
    def __init__(self, producer: FencedProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic

    def write(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        group = [Row(self._topic, PARTITION, key, value) for key, value in rows]
        try:
            self._producer.write(group).result(ACK_TIMEOUT_S)
        except TimeoutError as error:
            raise Transport(
                f"{self._topic} did not acknowledge the definitions within {ACK_TIMEOUT_S:g} s; deploy again"
            ) from error

    def close(self) -> None:
        self._producer.close()


def decoded(records: Sequence[Record], codec: Codec, take: Callable[[Trigger, int], None]) -> None:
    """Hand every definition of `records` to `take` with its offset.

    What is no definition is told in the log and left out: it can never come into force. Raises OSError when
    the schema registry has to be asked and does not answer; nothing may be left out then.
    """
    for record in records:
        try:
            item = codec.decode(record.value or b"", Trigger)
        except UndecodableError as error:
            _log.error("%s is no definition and is left out: %s", record.place, error)
            continue
        take(item, record.offset)
