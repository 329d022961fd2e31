"""Topics as values."""

import pytest

from schemas import avro_schema
from schemas.codec import CLASSES
from schemas.topics import topics

pytestmark = pytest.mark.unit


def test_every_topic_has_a_schema_and_every_schema_a_topic() -> None:
    """Names, subjects and schemas go together; none is used twice."""
    everything = topics().all()
    assert sorted(topic.schema for topic in everything) == sorted(avro_schema.names()) == sorted(CLASSES)
    assert len({topic.name for topic in everything}) == 10
    assert topics("x.").events.subject == "x.events-value"


def test_every_topic_stamps_the_brokers_time() -> None:
    """LogAppendTime everywhere: evaluation folds over the log's own time."""
    assert {topic.config["message.timestamp.type"] for topic in topics().all()} == {"LogAppendTime"}


def test_definitions_are_never_forgotten_and_stay_in_one_order() -> None:
    """The triggers log has one partition, is not compacted and keeps everything."""
    triggers = topics(partitions=64).triggers
    assert (triggers.partitions, triggers.config["cleanup.policy"], triggers.config["retention.ms"]) == (
        1,
        "delete",
        "-1",
    )
    assert {topic.partitions for topic in topics(partitions=64).all()} == {1, 64}


def test_what_a_fenced_owner_writes_is_never_compacted_by_the_broker() -> None:
    """The cleaner drops what an aborted transaction carried, so owners shorten their logs themselves."""
    for topic in topics().all():
        assert "compact" not in topic.config["cleanup.policy"], topic.name
    assert topics().state.config["retention.ms"] == topics().journal.config["retention.ms"] == "-1"


def test_replicas_ask_for_two_in_sync() -> None:
    """With replication every write waits for a second copy."""
    assert "min.insync.replicas" not in topics().events.config
    assert topics(replication=3).events.config["min.insync.replicas"] == "2"
