"""What a topic looks like from here: whether it can be read at all, how much is in it, and its newest record.

Nothing is joined or committed, so that whoever reads the topic in earnest is not disturbed.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException

from streams.errors import BadInput, Transport
from streams.kafka.config import librdkafka_config
from streams.kafka.record import Record
from streams.kafka.tail import bounds, read_back
from streams.settings import KafkaSettings

_ANSWER_S = 10.0
_ASK_S = 1.0
# Asked again, the answer would be the same.
_HOPELESS = (KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._ALL_BROKERS_DOWN)  # noqa: SLF001


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicState:
    """A topic as seen once.

    Attributes:
        cluster_id: The cluster's id, the same for ever.
        ends: First offset, and the one after the last, of each partition.
        newest: The record with the latest timestamp among the partitions' last ones; None when empty.

    """

    cluster_id: str
    ends: Mapping[int, tuple[int, int]]
    newest: Record | None

    @property
    def offsets(self) -> int:
        """How many offsets are kept; records and transaction markers alike."""
        return sum(high - low for low, high in self.ends.values())


def topic_state(
    settings: KafkaSettings, topic: str, properties: Mapping[str, str] | None = None
) -> TopicState:
    """Look at a topic; blocks. Raises BadInput (refused, missing) or Transport (away)."""
    client = librdkafka_config(settings, {"client.id": "ensue-source-test", **(properties or {})})
    cluster_id, partitions = _metadata(client, settings.bootstrap_servers, topic)
    committed_only = {**client, "isolation.level": "read_committed"}
    ends: dict[int, tuple[int, int]] = {}
    last: list[Record] = []
    try:
        for partition in partitions:
            ends[partition] = bounds(client, topic, partition)
            last += read_back(committed_only, topic, partition, bool, first_step=1)[-1:]
    except KafkaException as error:
        raise Transport(f"topic {topic} cannot be read: {error.args[0].str()}") from error
    newest = max(last, key=lambda record: record.timestamp_ms, default=None)
    return TopicState(cluster_id=cluster_id, ends=ends, newest=newest)


def _metadata(client: Mapping[str, object], servers: str, topic: str) -> tuple[str, list[int]]:
    heard: list[KafkaError] = []
    try:
        consumer = Consumer({**client, "group.id": "ensue-source-test", "error_cb": heard.append})
    except (KafkaException, ValueError, TypeError) as error:
        raise BadInput(f"the Kafka client refuses its settings: {error}") from None
    deadline_s = time.monotonic() + _ANSWER_S
    try:
        while True:
            try:
                found = consumer.list_topics(topic, timeout=_ASK_S)
                break
            except KafkaException as error:
                consumer.poll(0)  # lets what was heard come in
                if not any(one.code() in _HOPELESS for one in heard) and time.monotonic() < deadline_s:
                    continue
                told = "; ".join(dict.fromkeys(one.str() for one in heard)) or error.args[0].str()
                why = f"the Kafka cluster {servers} does not let us in or does not answer: {told}"
                raise Transport(why) from error
    finally:
        consumer.close()
    facts = found.topics[topic]
    if facts.error is not None:
        raise BadInput(f"topic {topic} on {servers}: {facts.error.str()}")
    return found.cluster_id or "", sorted(facts.partitions)
