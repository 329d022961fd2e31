"""Real services for the connected tests, on free ports, in temporary folders."""

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from schemas.topics import Topic
from streams.errors import BadInput, Transport
from streams.kafka.admin import ensure_topics, wait_ready
from streams.kafka.producer import EventProducer
from streams.local.broker import LocalBroker
from streams.local.jars import ensure_jars
from streams.local.java import java_path
from streams.local.ports import choose_port
from streams.settings import KafkaSettings
from tests.support import service_missing

EXISTING = "ENSUE_TEST_KAFKA"
_numbers = count(1)


@pytest.fixture(scope="session")
def broker_parts() -> None:
    """Java and Kafka's jars are here, or can be fetched."""
    try:
        java_path()
        ensure_jars()
    except (BadInput, Transport) as error:
        service_missing(f"no Kafka broker: {error}")


@pytest.fixture(scope="session")
def broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaSettings]:
    """One broker for the whole session; ENSUE_TEST_KAFKA=host:port names an existing one."""
    existing = os.environ.get(EXISTING)
    if existing:
        settings = KafkaSettings(bootstrap_servers=existing)
        try:
            wait_ready(settings, 10)
        except (BadInput, Transport) as error:
            service_missing(f"no Kafka broker: {error}")
        yield settings
        return
    request.getfixturevalue("broker_parts")
    local = LocalBroker(tmp_path_factory.mktemp("broker"), choose_port(), properties=FORCED_COMPACTION)
    local.start()
    try:
        yield local.settings()
    finally:
        local.stop()


# Logs are cleaned within a second or two where a topic asks for it (segment.ms, min.cleanable.dirty.ratio).
FORCED_COMPACTION = {"log.cleaner.backoff.ms": "500", "group.min.session.timeout.ms": "1000"}


@pytest.fixture
def kafka(broker: KafkaSettings) -> KafkaSettings:
    """The broker with a topic prefix of this test's own."""
    return broker.model_copy(update={"topic_prefix": f"t{os.getpid()}-{next(_numbers)}."})


@pytest.fixture
def make_topic(kafka: KafkaSettings) -> Callable[..., str]:
    """Create a topic under this test's prefix and return its full name."""

    def make(name: str = "log", partitions: int = 4, **config: str) -> str:
        full = {key.replace("_", "."): value for key, value in config.items()}
        topic = Topic(name=kafka.topic_prefix + name, key="", schema="", partitions=partitions, config=full)
        ensure_topics(kafka, [topic])
        return topic.name

    return make


@pytest.fixture
def producer(kafka: KafkaSettings) -> Iterator[EventProducer]:
    """A producer to this test's broker."""
    with EventProducer(kafka, linger_ms=0) as made:
        yield made


@pytest.fixture
def broker_folder(broker_parts: None, tmp_path: Path) -> Path:
    """A folder for a broker of the test's own."""
    return tmp_path / "data with, odd name"
