"""Sources of kind `kafka`, put together."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import SecretStr

from streams.errors import BadInput, Transport
from streams.kafka.topic_reader import FIXED, TopicFacts, TopicReader, cluster_id
from streams.registry.client import HttpRegistry, SchemaRefused
from streams.settings import KafkaSettings, Settings
from streams.source_settings import KafkaSource
from streams.sources.kafka_record import RecordReading, plain_format, record_wording
from streams.sources.kafka_report import TopicReports
from streams.sources.kafka_topic import KafkaTopicWatch
from streams.sources.kafka_value import Values
from streams.sources.made_event import RESERVED
from streams.sources.ports import Publisher

_REGISTRY_WITHIN_S = 10.0
_SECRET_PARTS = ("password", "secret", "key.pem", "jaas")


def kafka_watch(
    name: str, source: KafkaSource, publisher: Publisher, settings: Settings, reports: TopicReports
) -> KafkaTopicWatch:
    """Return what watches a topic; raises BadInput for settings that cannot be, each with its remedy."""
    reads = topic_reads(name, source, settings)

    async def reading(facts: TopicFacts) -> RecordReading:
        return await asyncio.to_thread(reads.reading, facts.cluster_id)

    def connect() -> TopicReader:
        return TopicReader(
            reads.cluster,
            source.topic,
            source.group or f"{settings.kafka.topic_prefix}source.{name}",
            start=source.start,
            properties=source.client,
        )

    return KafkaTopicWatch(name, connect=connect, reading=reading, publisher=publisher, reports=reports)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicReads:
    """How a source's topic is reached and read.

    Attributes:
        cluster: Where it lies.
        reading: Cluster id → how its records are read; blocks. Raises BadInput for a topic of ours.

    """

    cluster: KafkaSettings
    reading: Callable[[str], RecordReading]


def topic_reads(name: str, source: KafkaSource, settings: Settings) -> TopicReads:
    """Return how a topic is read; raises BadInput for settings that cannot be, each with its remedy."""
    cluster = _cluster(name, source, settings.kafka)
    _check_client(name, source)
    ours = source.topic.startswith(settings.kafka.topic_prefix)
    if ours and source.bootstrap_servers is None:
        raise _loop(name, source)
    if source.event is None and f"{name}.".startswith(RESERVED):
        raise BadInput(f"source {name}: its events would be called {name}.record, which is ours; set `event`")
    try:
        wording = record_wording(event=source.event, resource=source.resource, occurred=source.occurred)
    except BadInput as error:
        raise BadInput(f"source {name}: {error}") from None
    schemas = _schemas(name, source, settings)

    def reading(cluster_of_topic: str) -> RecordReading:
        if ours and cluster_of_topic == cluster_id(settings.kafka):
            raise _loop(name, source)
        return RecordReading(
            source=name,
            cluster=cluster_of_topic,
            format=source.format,
            values=Values(plain_format(source.format), schemas),
            wording=wording,
            event_bytes_max=settings.limits.event_bytes,
        )

    return TopicReads(cluster=cluster, reading=reading)


class TopicSchemas:
    """The registry of a topic, as `Values` asks it; what is wrong with it is no fault of a record."""

    def __init__(self, registry: HttpRegistry, hint: str) -> None:
        """`hint` names the settings to look at."""
        self._registry = registry
        self._hint = hint
        self._known = False

    def schema(self, schema_id: int) -> str:
        """Return a schema's text; raises LookupError for an unknown id, Transport for what passes."""
        try:
            found = self._registry.schema(schema_id)
        except SchemaRefused as refused:
            raise Transport(f"{refused}; {self._hint}") from None
        except LookupError:
            # An address that is none would make a dead letter of every record.
            self._known = self._known or self._registry.ready()
            if not self._known:
                raise Transport(f"{self._registry.url} is no schema registry; {self._hint}") from None
            raise
        self._known = True
        return found


def _cluster(name: str, source: KafkaSource, ours: KafkaSettings) -> KafkaSettings:
    if source.bootstrap_servers is None:
        if source.username or source.password or source.security_protocol != "PLAINTEXT":
            raise BadInput(
                f"source {name}: user and security belong to another cluster; name it in bootstrap_servers, "
                "or leave them out to read from ours"
            )
        return ours
    sasl = source.security_protocol.startswith("SASL_")
    if sasl and not (source.sasl_mechanism and source.username and source.password):
        raise BadInput(
            f"source {name}: {source.security_protocol} needs sasl_mechanism, username and, by environment, "
            f"{_variable(name, 'PASSWORD')}"
        )
    if not sasl and (source.username or source.password):
        raise BadInput(
            f"source {name}: a user is set but would not be used; set security_protocol to SASL_SSL"
        )
    return KafkaSettings(
        bootstrap_servers=source.bootstrap_servers,
        security_protocol=source.security_protocol,
        sasl_mechanism=source.sasl_mechanism,
        sasl_username=source.username,
        sasl_password=source.password,
        ssl_ca_location=source.ssl_ca_location,
        ssl_certificate_location=source.ssl_certificate_location,
        ssl_key_location=source.ssl_key_location,
        ssl_key_password=source.ssl_key_password,
    )


def _check_client(name: str, source: KafkaSource) -> None:
    for key in source.client:
        if key in FIXED:
            raise BadInput(f"source {name}: client.{key} is ours to set; leave it out")
        if any(part in key for part in _SECRET_PARTS):
            variable = _variable(name, "PASSWORD")
            raise BadInput(f"source {name}: client.{key} is a secret; give it by environment as {variable}")


def _schemas(name: str, source: KafkaSource, settings: Settings) -> TopicSchemas | None:
    url = source.registry_url or (settings.registry.url if source.bootstrap_servers is None else "")
    if not url:
        if source.format == "avro":
            raise BadInput(f"source {name}: format avro needs registry_url, the topic's schema registry")
        return None
    secret = source.registry_password or SecretStr("")
    login = (source.registry_user, secret.get_secret_value()) if source.registry_user else None
    hint = f"check registry_url, registry_user and {_variable(name, 'REGISTRY_PASSWORD')}"
    return TopicSchemas(HttpRegistry(url, timeout_s=_REGISTRY_WITHIN_S, login=login), hint)


def _variable(name: str, what: str) -> str:
    return f"ENSUE_SOURCES__{name.upper()}__{what}"


def _loop(name: str, source: KafkaSource) -> BadInput:
    return BadInput(
        f"source {name}: {source.topic} is a topic of ours; each of its events would come in again for ever. "
        "Name a topic that other programs write"
    )
