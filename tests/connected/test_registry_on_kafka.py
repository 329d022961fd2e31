"""The registry process on a real broker: what it answered is never forgotten and no id is given twice."""

import json
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from schemas.record import EventRecord
from schemas.topics import topics
from streams.registry.client import HttpRegistry, RegistryUnreachable
from streams.registry.register import build_codec
from streams.settings import KafkaSettings, RegistrySettings, Settings
from tests.connected.registry_process import RegistryProcess

pytestmark = pytest.mark.connected

ROUNDS = 5


def schema(number: int) -> str:
    fields = [{"name": f"f{number}", "type": "int"}]
    return json.dumps({"type": "record", "name": "R", "fields": fields})


@pytest.fixture
def topic(make_topic: Callable[..., str]) -> str:
    return make_topic("_schemas", 1, cleanup_policy="compact")


def test_it_starts_quickly_and_answers_quickly(kafka: KafkaSettings, topic: str) -> None:
    """It starts, registers and stays small; the bounds are wide because machines are shared."""
    with RegistryProcess(kafka, topic) as process:
        with HttpRegistry(process.url) as client:
            client.register("warm-value", schema(0))
            took_ms = []
            for number in range(1, 101):
                began = time.perf_counter()
                assert client.register(f"s{number}-value", schema(number)) == number + 1
                took_ms.append((time.perf_counter() - began) * 1000)
        took_ms.sort()
        rss_mb = psutil.Process(process.pid).memory_info().rss / (1 << 20)
        print(
            f"started in {process.started_in_s:.2f} s, register p50 {took_ms[50]:.1f} ms "
            f"p99 {took_ms[98]:.1f} ms, RSS {rss_mb:.0f} MB"
        )
        assert process.started_in_s < 10
        assert took_ms[50] < 250
        assert rss_mb < 120
        assert process.stop() == 0


def test_killed_between_write_and_answer_ids_never_repeat(kafka: KafkaSettings, topic: str) -> None:
    """Processes die by kill -9 after a write that no client was told of; each id means one schema."""
    meaning: dict[int, str] = {}
    for number in range(ROUNDS):
        with RegistryProcess(kafka, topic, die_after=2) as process:
            with HttpRegistry(process.url, timeout_s=1.5) as client:
                told = client.register(f"told-{number}", schema(2 * number))
                assert told not in meaning
                meaning[told] = schema(2 * number)
                with pytest.raises(RegistryUnreachable):
                    client.register(f"untold-{number}", schema(2 * number + 1))
            process.wait_killed()
    with RegistryProcess(kafka, topic) as process, HttpRegistry(process.url) as client:
        for number in range(ROUNDS):
            known = client.lookup(f"untold-{number}", schema(2 * number + 1))
            assert known not in meaning
            meaning[known] = schema(2 * number + 1)
        assert sorted(meaning) == list(range(1, 2 * ROUNDS + 1))
        assert {number: client.schema(number) for number in meaning} == meaning
        assert client.register("new", schema(99)) == 2 * ROUNDS + 1


def test_a_restart_keeps_everything(kafka: KafkaSettings, topic: str) -> None:
    """Subjects, ids, levels and deletions survive kill -9 and a clean stop."""
    with RegistryProcess(kafka, topic) as process, HttpRegistry(process.url) as client:
        first = client.register("a-value", schema(1))
        client.register("b-value", schema(2))
        client.set_level("a-value", "FULL_TRANSITIVE")
        assert httpx.delete(f"{process.url}/subjects/b-value").json() == [1]
        process.kill()
        process.start()
        assert httpx.get(f"{process.url}/subjects").json() == ["a-value"]
        assert httpx.get(f"{process.url}/subjects?deleted=true").json() == ["a-value", "b-value"]
        assert httpx.get(f"{process.url}/config/a-value").json() == {"compatibilityLevel": "FULL_TRANSITIVE"}
        with HttpRegistry(process.url) as again:
            assert again.register("a-value", schema(1)) == first
        assert process.stop() == 0


def test_concurrent_registrations_agree(kafka: KafkaSettings, topic: str) -> None:
    """Sixteen clients registering the same schemas at once get the same id for each."""
    with RegistryProcess(kafka, topic) as process:

        def work(_: int) -> list[int]:
            with HttpRegistry(process.url) as client:
                return [client.register(f"s{number}", schema(number)) for number in range(10)]

        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(work, range(16)))
        assert len({tuple(ids) for ids in found}) == 1
        assert sorted(found[0]) == list(range(1, 11))


def test_a_second_registry_shuts_the_first_out(kafka: KafkaSettings, topic: str) -> None:
    """The newest process writes; the former refuses to write, goes on reading and sees the other's writes."""
    with RegistryProcess(kafka, topic) as old, HttpRegistry(old.url, timeout_s=1) as old_client:
        old_client.register("a", schema(1))
        with RegistryProcess(kafka, topic) as new, HttpRegistry(new.url) as new_client:
            assert new_client.register("b", schema(2)) == 2
            with pytest.raises(RegistryUnreachable, match="This registry may only read"):
                old_client.register("c", schema(3))
            assert new_client.register("c", schema(4)) == 3
            assert json.loads(old_client.schema(3)) == json.loads(schema(4))


def test_a_stopped_registry_is_waited_for(kafka: KafkaSettings, topic: str) -> None:
    """A registry that stands still for a second delays a client and loses nothing."""
    with RegistryProcess(kafka, topic) as process, HttpRegistry(process.url) as client:
        os.kill(process.pid, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(client.register, "a", schema(1))
            time.sleep(1)
            os.kill(process.pid, signal.SIGCONT)
            assert answer.result(20) == 1


def test_a_codec_over_the_registry(kafka: KafkaSettings, topic: str) -> None:
    """Registered at deploy, looked up by a running client: both write and read the same bytes."""
    with RegistryProcess(kafka, topic) as process:
        settings = Settings(kafka=kafka, registry=RegistrySettings(url=process.url))
        deployed = build_codec(settings, register=True)
        running = build_codec(settings)
        item = EventRecord(
            id="0" * 36,
            event="e",
            resource_id="r",
            occurred=1,
            received=2,
            resource="{}",
            related="[]",
            payload="{}",
            source="",
            causation_id=None,
            correlation_id="0" * 36,
            follows=None,
            replay_of=None,
        )
        framed = deployed.encode(item)
        assert running.encode(item) == framed
        assert running.decode(framed, EventRecord) == item
        names = topics(kafka.topic_prefix)
        assert httpx.get(f"{process.url}/subjects").json() == sorted(topic.subject for topic in names.all())
