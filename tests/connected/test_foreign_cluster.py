"""A topic on a foreign cluster that asks for TLS and a password: read, looked at, and refused clearly."""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Producer
from pydantic import SecretStr

from schemas.topics import Topic
from streams.cli.source_look import look
from streams.errors import EnsueError, Transport
from streams.kafka.admin import ensure_topics
from streams.kafka.config import librdkafka_config
from streams.kafka.topic_state import topic_state
from streams.local.broker import LocalBroker
from streams.local.broker_files import ScramUser
from streams.local.ports import LOOPBACK, choose_port
from streams.settings import KafkaSettings, Settings
from streams.source_settings import KafkaSource
from streams.sources.kafka_report import TopicReports
from streams.wiring.kafka_source import kafka_watch
from tests.tls_case import certificate
from tests.unit.test_kafka_topic_watch import FakePublisher

pytestmark = [pytest.mark.connected, pytest.mark.timeout(180)]

TOPIC = Topic(name="shop.orders", key="", schema="", partitions=3)
USER = ScramUser(name="ensue", password="open-sesame-7")


@pytest.fixture(scope="module")
def cluster(broker_parts: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Settings of a source on a broker with SASL_SSL, its topic holding three orders."""
    folder = tmp_path_factory.mktemp("foreign")
    pem = certificate(folder, LOOPBACK)
    secure, plain, controller = choose_port(), choose_port(), choose_port()
    listeners = f"SASL_PLAINTEXT://{LOOPBACK}:{plain},SASL_SSL://{LOOPBACK}:{secure}"
    login = (
        "org.apache.kafka.common.security.scram.ScramLoginModule required "
        f'username="{USER.name}" password="{USER.password}";'
    )
    properties = {
        "listeners": f"{listeners},CONTROLLER://{LOOPBACK}:{controller}",
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller}",
        "listener.security.protocol.map": (
            "SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT"
        ),
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": login,
        "listener.name.sasl_ssl.ssl.keystore.type": "PEM",
        "listener.name.sasl_ssl.ssl.keystore.location": str(pem),
    }
    broker = LocalBroker(folder / "data", plain, scram_user=USER, properties=properties)
    broker.start()
    try:
        ensure_topics(broker.settings(), [TOPIC])
        source = {
            "bootstrap_servers": f"{LOOPBACK}:{secure}",
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-512",
            "username": USER.name,
            "password": SecretStr(USER.password),
            "ssl_ca_location": str(pem),
        }
        producer = Producer(librdkafka_config(secure_settings(source)))
        for number in range(3):
            value = json.dumps({"order": number}).encode()
            producer.produce(TOPIC.name, value=value, key=b"%d" % number, partition=number)
            assert producer.flush(30) == 0
        yield source
    finally:
        broker.stop()


def secure_settings(source: dict[str, Any]) -> KafkaSettings:
    """The same for a plain client."""
    return KafkaSettings(
        bootstrap_servers=source["bootstrap_servers"],
        security_protocol=source["security_protocol"],
        sasl_mechanism=source["sasl_mechanism"],
        sasl_username=source["username"],
        sasl_password=source["password"],
        ssl_ca_location=source["ssl_ca_location"],
    )


def orders(cluster: dict[str, Any], **changes: Any) -> KafkaSource:
    """The source."""
    event = "order.{{ value.order }}"
    return KafkaSource(kind="kafka", topic=TOPIC.name, event=event, **{**cluster, **changes})


async def test_a_topic_behind_tls_and_a_password_is_read(cluster: dict[str, Any]) -> None:
    """All records of all partitions become events."""
    publisher = FakePublisher()
    group = f"g-{os.getpid()}"
    watch = kafka_watch("orders", orders(cluster, group=group), publisher, Settings(), TopicReports())
    task = asyncio.create_task(watch.run())
    deadline_s = time.monotonic() + 60
    while len(publisher.events) < 3:
        assert not task.done()
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert {event.event for event in publisher.events} == {"order.0", "order.1", "order.2"}


def test_the_newest_record_is_looked_at(cluster: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """`ensue sources test` says what the newest record becomes, and that there is one in each partition."""
    look(Settings(), "orders", orders(cluster), as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["partitions"], told["offsets"]) == (3, 3)
    assert told["newest"] == {"partition": 2, "offset": 0}
    assert [event["event"] for event in told["events"]] == ["order.2"]
    look(Settings(), "orders", orders(cluster), as_json=False)
    assert f"the newest record, {TOPIC.name}[2] offset 0, is order.2 of kafka://" in capsys.readouterr().out


def test_what_would_be_a_dead_letter_is_told(cluster: dict[str, Any]) -> None:
    """A template that the newest record does not fit is named before anything is read in earnest."""
    with pytest.raises(EnsueError, match=r"shop\.orders\[2\] offset 0, would be a dead letter: .*no time"):
        look(Settings(), "orders", orders(cluster, occurred="{{ value.order }} o'clock"), as_json=False)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"password": SecretStr("open-barley-7")}, "(?i)authentication failed"),
        ({"ssl_ca_location": None}, "(?i)certificate"),
        ({"bootstrap_servers": "127.0.0.1:1"}, "(?i)connect"),
    ],
)
def test_why_a_cluster_does_not_let_us_in(
    cluster: dict[str, Any], changes: dict[str, Any], reason: str
) -> None:
    """A wrong password, an untrusted certificate and a wrong address are told apart."""
    with pytest.raises(Transport, match=reason):
        look(Settings(), "orders", orders(cluster, **changes), as_json=False)


def test_a_missing_topic_is_named(cluster: dict[str, Any]) -> None:
    """The topic and the cluster are in the error."""
    with pytest.raises(EnsueError, match=r"topic shop\.gone on 127\.0\.0\.1:[0-9]+: .*[Uu]nknown topic"):
        topic_state(secure_settings(cluster), "shop.gone")
