"""kill -9 of the sink and of producers while events come in: one row per identity, nothing missing."""

import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from schemas.topics import topics
from streams.kafka.admin import ensure_topics
from streams.settings import KafkaSettings
from tests.connected.store_process import StoreProcess
from tests.connected.store_rows import reader

pytestmark = pytest.mark.connected
PARTITIONS = 4
ROOT = Path(__file__).parents[2]
_log = logging.getLogger(__name__)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoreProcess]:
    """A store of the test's own."""
    process = StoreProcess(tmp_path / "data").start()
    yield process
    process.stop()


class Part:
    """A process that is killed and started again."""

    def __init__(self, kind: str, args: dict[str, Any], folder: Path) -> None:
        self._command = [sys.executable, "-m", "tests.connected.sink_process", kind, json.dumps(args)]
        self._log = folder / f"{kind}.log"
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log:
            return subprocess.Popen(self._command, cwd=ROOT, stdout=log, stderr=log)

    def kill(self) -> None:
        """Send SIGKILL."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def restart(self) -> None:
        """Start again after a kill."""
        self.process = self._start()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found at the end."""

    acked: int
    rows: int
    distinct: int
    kills: int
    behind: int  # kills at which acknowledged events were not stored yet


def run_kills(
    kafka: KafkaSettings,
    store: StoreProcess,
    folder: Path,
    *,
    count: int,
    identity: bool = True,
    completes: bool = True,
    seed: int = 1,
    settle_s: float = 60.0,
) -> Outcome:
    """Two producers write the same events; producers and sink are killed until all is written."""
    draw = random.Random(seed)
    ensure_topics(kafka, topics(kafka.topic_prefix, PARTITIONS).all())
    clickhouse = store.settings()
    shared = {
        "kafka": {"bootstrap_servers": kafka.bootstrap_servers, "topic_prefix": kafka.topic_prefix},
        "partitions": PARTITIONS,
    }
    sink_args = {
        **shared,
        "identity": identity,
        "completes": completes,
        "clickhouse": {
            "url": clickhouse.url,
            "writer_password": clickhouse.writer_password.get_secret_value(),
        },
    }
    noted = [folder / "a.noted", folder / "b.noted"]
    start_ms = time.time_ns() // 1_000_000
    producers = [
        Part("produce", {**shared, "count": count, "start_ms": start_ms, "noted": str(path)}, folder)
        for path in noted
    ]
    sink = Part("sink", sink_args, folder)
    client = reader(clickhouse)
    kills = behind = 0
    try:
        while min(map(acked, noted)) < count:
            wait_for_work(client, kafka)
            time.sleep(draw.uniform(0.1, 1.0))
            kills += 1
            sink.kill()
            missing = max(map(acked, noted)) - counts(client, kafka)[1]
            behind += missing > 0
            _log.info("kill %d: %d acknowledged events not stored yet", kills, missing)
            sink.restart()
            victim = draw.choice(producers)
            victim.kill()
            victim.restart()
        deadline_s = time.monotonic() + settle_s
        while counts(client, kafka)[1] < count and time.monotonic() < deadline_s:
            time.sleep(0.2)
        time.sleep(1.0)
        rows, distinct = counts(client, kafka)
    finally:
        for part in (*producers, sink):
            part.kill()
        client.close()
    return Outcome(max(map(acked, noted)), rows, distinct, kills, behind)


def wait_for_work(client: Client, kafka: KafkaSettings, timeout_s: float = 15.0) -> None:
    """Return once the sink has stored something, so that every kill meets it at work."""
    before = counts(client, kafka)[0]
    deadline_s = time.monotonic() + timeout_s
    while counts(client, kafka)[0] == before and time.monotonic() < deadline_s:
        time.sleep(0.05)


def acked(noted: Path) -> int:
    """Events of one producer that the broker acknowledged."""
    return int(noted.read_text()) if noted.exists() else 0


def counts(client: Client, kafka: KafkaSettings) -> tuple[int, int]:
    """(rows, distinct ids) of this test."""
    sql = "SELECT count(), uniqExact(id) FROM events WHERE topic = {topic:String}"
    found = client.query(sql, parameters={"topic": f"{kafka.topic_prefix}events"}).result_rows[0]
    return int(found[0]), int(found[1])


@pytest.mark.timeout(300)
def test_killed_sink_loses_and_repeats_nothing(
    kafka: KafkaSettings, store: StoreProcess, tmp_path: Path
) -> None:
    """Every event written twice by killed producers through a killed sink is exactly one row."""
    found = run_kills(kafka, store, tmp_path, count=60_000)
    assert (found.rows, found.distinct) == (60_000, 60_000), found
    assert found.behind >= 1, found


@pytest.mark.timeout(200)
def test_without_identity_the_kill_test_fails(
    kafka: KafkaSettings, store: StoreProcess, tmp_path: Path
) -> None:
    """With the id window off, the same run leaves events in more than one row."""
    found = run_kills(kafka, store, tmp_path, count=10_000, identity=False)
    assert found.rows > found.distinct


@pytest.mark.timeout(200)
def test_without_completion_the_kill_test_fails(
    kafka: KafkaSettings, store: StoreProcess, tmp_path: Path
) -> None:
    """With start-up completion off, a killed sink stores rows again."""
    found = run_kills(kafka, store, tmp_path, count=30_000, completes=False)
    assert found.rows > found.distinct
