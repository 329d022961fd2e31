"""A broker that asks for a password: every client of ours, Faust's too, gets in with the right one only."""

import asyncio
import time
from collections.abc import Iterator

import faust
import pytest
from aiokafka import AIOKafkaConsumer
from pydantic import SecretStr

from schemas.topics import Topic
from streams.errors import BadInput, EnsueError, Transport
from streams.kafka.admin import ensure_topics, wait_ready
from streams.kafka.batches import BEGINNING
from streams.kafka.config import faust_security
from streams.kafka.consumer import LogReader
from streams.kafka.group import GroupConsumer
from streams.kafka.producer import EventProducer
from streams.local.broker import LocalBroker
from streams.local.broker_files import ScramUser
from streams.local.ports import choose_port
from streams.settings import KafkaSettings

pytestmark = [pytest.mark.connected, pytest.mark.timeout(180)]

TOPIC = Topic(name="s.log", key="", schema="", partitions=2)


@pytest.fixture(scope="module")
def right(broker_parts: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    """The broker, with the user's password."""
    broker = LocalBroker(
        tmp_path_factory.mktemp("scram"),
        choose_port(),
        scram_user=ScramUser(name="ensue", password="open-sesame-7"),
    )
    broker.start()
    ensure_topics(broker.settings(), [TOPIC])
    yield broker.settings()
    broker.stop()


@pytest.fixture
def wrong(right: KafkaSettings) -> KafkaSettings:
    """The broker, with another password."""
    return right.model_copy(update={"sasl_password": SecretStr("open-barley-7")})


def test_the_right_password_writes_reads_and_commits(right: KafkaSettings) -> None:
    """Producer, reader and group member all work with the password."""
    with EventProducer(right, linger_ms=0) as producer:
        delivery = producer.produce(TOPIC.name, 0, b"k", b"v").result(30)
    with LogReader(right) as reader:
        reader.assign({(TOPIC.name, 0): delivery.offset})
        assert reader.consume(1, 20)[0].value == b"v"
    with GroupConsumer(right, "s-group", [TOPIC.name]) as member:
        deadline = time.monotonic() + 30
        while not member.consume(10, 0.5):
            assert time.monotonic() < deadline
        member.commit(dict(member.positions), wait=True)


def test_a_wrong_password_is_refused_with_the_remedy(wrong: KafkaSettings) -> None:
    """Waiting for the broker with a wrong password names user and setting, and does not wait for long."""
    began = time.monotonic()
    with pytest.raises(BadInput, match=r"refused our user ensue.*ENSUE_KAFKA__SASL_PASSWORD"):
        wait_ready(wrong, 30)
    with pytest.raises(BadInput, match="refused our user ensue"):
        ensure_topics(wrong, [TOPIC])
    assert time.monotonic() - began < 15


def test_a_wrong_password_writes_nothing(wrong: KafkaSettings, right: KafkaSettings) -> None:
    """A producer with a wrong password fails its record and is not healthy."""
    with LogReader(right) as reader:
        before = reader.watermarks(TOPIC.name, 1)
        with EventProducer(wrong, linger_ms=0, delivery_timeout_s=3) as producer:
            with pytest.raises(Transport, match=r"s\.log\[1\]"):
                producer.produce(TOPIC.name, 1, None, b"x").result(30)
            assert not producer.healthy
        assert reader.watermarks(TOPIC.name, 1) == before


def test_a_wrong_password_reads_nothing(wrong: KafkaSettings) -> None:
    """A reader with a wrong password says that it was refused."""
    with LogReader(wrong) as reader, pytest.raises(EnsueError):
        reader.assign({(TOPIC.name, 0): BEGINNING})
    with LogReader(wrong) as reader:
        reader.assign({(TOPIC.name, 0): 0})
        with pytest.raises(BadInput, match="refused"):
            reader.consume(1, 10)


async def test_fausts_driver_gets_in_with_the_right_password_only(
    right: KafkaSettings, wrong: KafkaSettings
) -> None:
    """aiokafka, made from what we give Faust, reads with the right password and is refused with the wrong."""
    with EventProducer(right, linger_ms=0) as producer:
        await producer.send_batch([])
        producer.produce(TOPIC.name, 0, None, b"for faust").result(30)
    consumer = AIOKafkaConsumer(TOPIC.name, **faust_security(right).aiokafka(), auto_offset_reset="earliest")
    await consumer.start()
    try:
        assert await asyncio.wait_for(consumer.getone(), 20)
    finally:
        await consumer.stop()
    refused = AIOKafkaConsumer(TOPIC.name, **faust_security(wrong).aiokafka())
    with pytest.raises(Exception, match=r"(?i)unable to bootstrap|auth"):
        await refused.start()
    await refused.stop()


async def test_a_faust_app_reads_with_the_password(right: KafkaSettings) -> None:
    """An agent of a Faust app with these credentials gets a record."""
    security = faust_security(right)
    app = faust.App(
        "s-app",
        broker=list(security.broker_urls),
        broker_credentials=faust.SASLCredentials(
            username=security.sasl_username,
            password=security.sasl_password,
            mechanism=security.sasl_mechanism,
        ),
        topic_replication_factor=1,
        topic_partitions=1,
        web_enabled=False,
        store="memory://",
    )
    seen: asyncio.Queue[bytes] = asyncio.Queue(1000)

    async def take(values) -> None:
        async for value in values:
            seen.put_nowait(value)

    app.agent(app.topic(TOPIC.name, value_type=bytes, value_serializer="raw"))(take)
    with EventProducer(right, linger_ms=0) as producer:
        producer.produce(TOPIC.name, 0, None, b"to the agent").result(30)
    await app.start()
    try:
        assert await asyncio.wait_for(seen.get(), 60)
    finally:
        await app.stop()
