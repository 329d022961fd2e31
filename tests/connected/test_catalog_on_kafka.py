"""Definitions on a real broker."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from schemas.codec import fixed_codec
from schemas.topics import topics
from streams.catalog.definition import deployment_id
from streams.catalog.follower import Follower
from streams.catalog.log import KafkaDefinitionsLog
from streams.catalog.publish import publish, read_all
from streams.kafka.admin import ensure_topics
from streams.settings import KafkaSettings
from tests.definitions_in_memory import definition

pytestmark = pytest.mark.connected

CODEC = fixed_codec()


@pytest.fixture
def log(kafka: KafkaSettings) -> KafkaDefinitionsLog:
    triggers = topics(kafka.topic_prefix).triggers
    ensure_topics(kafka, [triggers])
    return KafkaDefinitionsLog(kafka, triggers.name)


@pytest.fixture
def follower(log: KafkaDefinitionsLog) -> Iterator[Follower]:
    made = Follower(log, CODEC)
    yield made
    made.close()


def test_a_deployment_is_in_force_everywhere_within_a_second(
    log: KafkaDefinitionsLog, follower: Follower
) -> None:
    """Ten deployments, each seen by a follower within a second of its acknowledgement."""
    catalog = follower.start()
    seen_ms = []
    for version in range(10):
        written = publish(
            log,
            CODEC,
            deployment_id=deployment_id("mine"),
            definitions=[definition("a", flow_version=str(version)), definition("b")],
            by="a test",
        )
        acknowledged = time.perf_counter()
        assert [item.name for item in written] == (["a"] if version else ["a", "b"])
        while catalog.in_force().get("a") != written[0]:
            assert time.perf_counter() - acknowledged < 1
            time.sleep(0.001)
        seen_ms.append((time.perf_counter() - acknowledged) * 1000)
    print(f"seen after {sorted(seen_ms)[5]:.0f} ms p50, {max(seen_ms):.0f} ms at most")
    assert list(read_all(log, CODEC).in_force()) == ["a", "b"]
    again = catalog.position
    assert catalog.in_force(again) == catalog.in_force()


def test_concurrent_deployments_leave_one_owner_a_name(log: KafkaDefinitionsLog) -> None:
    """Four deployments at once: every own trigger is there, and the one all wanted has one owner."""

    def deploy(number: int) -> bool:
        wanted = [definition(f"own-{number}"), definition("shared")]
        try:
            publish(
                log,
                CODEC,
                deployment_id=deployment_id(str(number)),
                definitions=wanted,
                by=f"deploy {number}",
            )
        except Exception as error:
            assert "belongs to another deployment" in str(error)  # noqa: PT017 - one of many is to succeed
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        succeeded = [number for number, done in enumerate(pool.map(deploy, range(4))) if done]
    catalog = read_all(log, CODEC)
    assert len(succeeded) == 1
    assert sorted(catalog.in_force()) == [f"own-{succeeded[0]}", "shared"]
    records = [offset for offset in range(catalog.position + 1) if catalog.revision(offset)]
    assert catalog.revision(catalog.position) == 2, records
