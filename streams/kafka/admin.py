"""Topics as declared, and waiting for a broker."""

import contextlib
import logging
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from streams.errors import BadInput, Transport
from streams.kafka.config import librdkafka_config
from streams.settings import KafkaSettings

_log = logging.getLogger(__name__)
_REQUEST_TIMEOUT_S = 10.0
_POLL_S = 0.05
_AUTHENTICATION = (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED)  # noqa: SLF001 - how they name it


class Declared(Protocol):
    """A topic as a value (`schemas.topics.Topic`)."""

    @property
    def name(self) -> str:
        """Full name, prefix included."""
        ...

    @property
    def partitions(self) -> int:
        """Immutable once created."""
        ...

    @property
    def config(self) -> Mapping[str, str]:
        """Topic settings that differ from the broker's."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicChanges:
    """What `ensure_topics` did: names of topics."""

    created: tuple[str, ...]
    altered: tuple[str, ...]


def open_producer_ids(settings: KafkaSettings) -> None:
    """Make a fresh broker fetch its first block of producer ids.

    It refuses the first idempotent producer after its start while it does, and librdkafka then waits a
    second before it asks again: better here than before the first event.
    """
    # Silent: the refusal is what we are here for.
    producer = Producer(librdkafka_config(settings, {"log_level": 0}, enable_idempotence=True))
    with contextlib.suppress(KafkaException):
        producer.list_topics(timeout=_REQUEST_TIMEOUT_S)
        producer.poll(_POLL_S)


class _Admin:
    """An AdminClient that remembers why it cannot connect, so that errors can say it."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.refused = ""
        self.last_error = ""
        self.settings = settings
        self.client = AdminClient(
            librdkafka_config(settings, {"error_cb": self._on_error}, client_id="ensue-admin")
        )

    def _on_error(self, error: KafkaError) -> None:
        self.last_error = error.str()
        if error.code() in _AUTHENTICATION:
            self.refused = error.str()

    def check_refused(self) -> None:
        self.client.poll(0)
        if self.refused:
            raise BadInput(
                f"the Kafka broker {self.settings.bootstrap_servers} refused our user "
                f"{self.settings.sasl_username}: {self.refused}. "
                "Check ENSUE_KAFKA__SASL_USERNAME and ENSUE_KAFKA__SASL_PASSWORD"
            )


def wait_ready(settings: KafkaSettings, timeout_s: float = 30.0) -> None:
    """Return once the broker answers and would create a topic (its controller is up, it takes writes).

    Raises:
        BadInput: it refused our user.
        Transport: it was not ready in time; the text holds its last answer.

    """
    admin = _Admin(settings)
    deadline_s = time.monotonic() + timeout_s
    trial = NewTopic(f"{settings.topic_prefix}ready-check", num_partitions=1, replication_factor=-1)
    while True:
        try:
            found = admin.client.create_topics([trial], validate_only=True, request_timeout=2.0)
            found[trial.topic].result()
        except KafkaException as error:
            code = error.args[0].code()
            if code in (KafkaError.TOPIC_ALREADY_EXISTS, KafkaError.TOPIC_AUTHORIZATION_FAILED):
                return
            admin.check_refused()
            last = admin.last_error or error.args[0].str()
        else:
            return
        if time.monotonic() >= deadline_s:
            raise Transport(
                f"the Kafka broker {settings.bootstrap_servers} was not ready within {timeout_s:.0f} s: "
                f"{last}"
            )
        time.sleep(_POLL_S)


def ensure_topics(
    settings: KafkaSettings, topics: Iterable[Declared], timeout_s: float = 30.0
) -> TopicChanges:
    """Create what is absent, check partition counts, set declared settings that differ; return the changes.

    Returns when every partition of every topic has a leader, so that the next produce or read finds it.

    Raises:
        BadInput: a topic exists with another partition count (both figures are named).
        Transport: the broker did not answer or refused.

    """
    declared = {topic.name: topic for topic in topics}
    admin = _Admin(settings)
    deadline_s = time.monotonic() + timeout_s
    created = _create(admin, declared)
    _await_partitions(admin, declared, deadline_s)
    altered = _alter(admin, {name: topic for name, topic in declared.items() if name not in created})
    return TopicChanges(created=created, altered=altered)


def _create(admin: _Admin, declared: Mapping[str, Declared]) -> tuple[str, ...]:
    known = _metadata(admin)
    fresh = [
        NewTopic(
            name,
            num_partitions=topic.partitions,
            replication_factor=admin.settings.replication,
            config=dict(topic.config),
        )
        for name, topic in declared.items()
        if name not in known
    ]
    if not fresh:
        return ()
    created = []
    for name, answer in admin.client.create_topics(fresh, request_timeout=_REQUEST_TIMEOUT_S).items():
        try:
            _result(answer, f"topic {name} could not be created")
        except Transport as error:
            cause = error.__cause__
            if isinstance(cause, KafkaException) and cause.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                continue  # another process was faster; its counts are checked with the rest
            raise
        created.append(name)
    return tuple(created)


def _await_partitions(admin: _Admin, declared: Mapping[str, Declared], deadline_s: float) -> None:
    while True:
        known = _metadata(admin)
        waiting = [name for name in declared if not _has_leaders(known.get(name))]
        if not waiting:
            break
        if time.monotonic() >= deadline_s:
            raise Transport(f"topics without a leader after their creation: {', '.join(waiting)}")
        time.sleep(_POLL_S)
    for name, topic in declared.items():
        found = len(known[name].partitions)
        if found != topic.partitions:
            raise BadInput(
                f"topic {name} has {found} partitions, but {topic.partitions} are configured. The count is "
                "immutable, because each key's place follows from it: set ENSUE_KAFKA__PARTITIONS "
                f"to {found}, or choose another ENSUE_KAFKA__TOPIC_PREFIX"
            )


def _has_leaders(topic: Any) -> bool:
    if topic is None or topic.error is not None or not topic.partitions:
        return False
    return all(partition.leader >= 0 for partition in topic.partitions.values())


def _metadata(admin: _Admin) -> dict[str, Any]:
    deadline_s = time.monotonic() + _REQUEST_TIMEOUT_S
    while True:
        try:
            # In slices: a refusal is known long before the time is over.
            return dict(admin.client.list_topics(timeout=1.0).topics)
        except KafkaException as error:
            admin.check_refused()
            if time.monotonic() >= deadline_s:
                raise Transport(
                    f"the Kafka broker {admin.settings.bootstrap_servers} does not answer: "
                    f"{admin.last_error or error.args[0].str()}"
                ) from error


def _alter(admin: _Admin, existing: Mapping[str, Declared]) -> tuple[str, ...]:
    asked = [ConfigResource(ResourceType.TOPIC, name) for name, topic in existing.items() if topic.config]
    if not asked:
        return ()
    changes = []
    for resource, answer in admin.client.describe_configs(asked, request_timeout=_REQUEST_TIMEOUT_S).items():
        found = _result(answer, f"the settings of topic {resource.name} could not be read")
        wanted = existing[resource.name].config
        differing = {
            name: value for name, value in wanted.items() if name not in found or found[name].value != value
        }
        if differing:
            _log.warning("topic %s: setting %s", resource.name, differing)
            entries = [
                ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                for name, value in differing.items()
            ]
            changes.append(ConfigResource(ResourceType.TOPIC, resource.name, incremental_configs=entries))
    if not changes:
        return ()
    answers = admin.client.incremental_alter_configs(changes, request_timeout=_REQUEST_TIMEOUT_S)
    for resource, answer in answers.items():
        _result(answer, f"the settings of topic {resource.name} could not be set")
    return tuple(change.name for change in changes)


def _result(answer: "Future[Any]", what: str) -> Any:
    try:
        return answer.result()
    except KafkaException as error:
        raise Transport(f"{what}: {error.args[0].str()}") from error
