"""Settings of sources of kind kafka: what cannot be is refused with its remedy before anything is read."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from streams.errors import BadInput, Transport
from streams.registry.client import SchemaRefused
from streams.settings import KafkaSettings, RegistrySettings, Settings
from streams.source_settings import KafkaSource
from streams.sources.kafka_report import TopicReports
from streams.wiring.kafka_source import TopicSchemas, kafka_watch
from tests.unit.test_kafka_topic_watch import FakePublisher

pytestmark = pytest.mark.unit

OURS = Settings(
    kafka=KafkaSettings(bootstrap_servers="a:1"), registry=RegistrySettings(url="http://127.0.0.1:9")
)


def made(name: str = "orders", **fields: Any) -> object:
    """What watches the source."""
    source = KafkaSource(kind="kafka", **{"topic": "orders", **fields})
    return kafka_watch(name, source, FakePublisher(), OURS, TopicReports())


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"format": "avro"},
        {"bootstrap_servers": "b:1", "topic": "ensue.events"},
        {"bootstrap_servers": "b:1", "format": "avro", "registry_url": "http://127.0.0.1:8"},
        {
            "bootstrap_servers": "b:1",
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-512",
            "username": "u",
            "password": SecretStr("p"),
            "ssl_ca_location": "ca.pem",
        },
        {"client": {"isolation.level": "read_uncommitted"}},
    ],
)
def test_what_can_be_is_made(fields: dict[str, Any]) -> None:
    """Our cluster or another one, with its own registry and credentials."""
    assert made(**fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"topic": "ensue.events"}, "a topic of ours; each of its events would come in again"),
        ({"bootstrap_servers": "b:1", "format": "avro"}, "needs registry_url"),
        ({"username": "u"}, "belong to another cluster"),
        ({"bootstrap_servers": "b:1", "username": "u"}, "would not be used"),
        (
            {"bootstrap_servers": "b:1", "security_protocol": "SASL_SSL", "username": "u"},
            "ENSUE_SOURCES__ORDERS__PASSWORD",
        ),
        ({"client": {"sasl.password": "p"}}, "is a secret"),
        ({"client": {"enable.auto.commit": "true"}}, "is ours to set"),
        ({"client": {"group.id": "g"}}, "is ours to set"),
        ({"event": "{{ secrets }}"}, "source orders: event"),
        ({"name": "ensue"}, "which is ours; set `event`"),
    ],
)
def test_what_cannot_be_is_refused_with_its_remedy(fields: dict[str, Any], words: str) -> None:
    """A person's mistake is a sentence at the start, not a record's fate."""
    with pytest.raises(BadInput, match=words):
        made(**fields)


def test_a_password_comes_by_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file says where, the environment says how; the password is never printed."""
    (tmp_path / "ensue.toml").write_text(
        '[sources.orders]\nkind = "kafka"\ntopic = "orders"\nbootstrap_servers = "b:1"\n', "utf-8"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENSUE_SOURCES__ORDERS__PASSWORD", "hunter2")
    source = Settings().sources["orders"]
    assert isinstance(source, KafkaSource)
    assert source.password is not None
    assert source.password.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(source)


@pytest.mark.parametrize("fields", [{"topic": ""}, {"start": "middle"}, {"topics": ["a"]}])
def test_unknown_or_empty_fields_are_refused(fields: dict[str, Any]) -> None:
    """Misspelt settings are told."""
    with pytest.raises(ValidationError):
        KafkaSource(**{"kind": "kafka", "topic": "t", **fields})


class Registry:
    """A registry client that answers as told."""

    url = "http://registry"

    def __init__(self, answer: Exception | str, *, is_one: bool) -> None:
        self._answer = answer
        self._is_one = is_one

    def schema(self, _schema_id: int) -> str:
        """Answer or raise."""
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    def ready(self) -> bool:
        """Whether it is a registry at all."""
        return self._is_one


@pytest.mark.parametrize(
    ("answer", "is_one", "expected"),
    [
        (SchemaRefused("it says 401"), True, Transport),
        (LookupError("404"), False, Transport),
        (LookupError("40403"), True, LookupError),
    ],
)
def test_a_registry_that_refuses_us_is_no_fault_of_records(
    answer: Exception, is_one: bool, expected: type[Exception]
) -> None:
    """Wrong credentials or a wrong address wait for a person; only an unknown id is the record's own."""
    schemas = TopicSchemas(Registry(answer, is_one=is_one), "check registry_url")  # type: ignore[arg-type]
    with pytest.raises(expected) as caught:
        schemas.schema(1)
    assert expected is LookupError or "check registry_url" in str(caught.value)
