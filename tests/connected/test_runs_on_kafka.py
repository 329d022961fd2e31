"""Runs on a real broker in real processes: journaled, resumed after kill -9, ended once."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flows import loader
from schemas.codec import fixed_codec
from schemas.identity import derived_id
from schemas.record import EventRecord, RunLog, RunRequest
from schemas.topics import Topics, topics
from streams.kafka.admin import ensure_topics
from streams.kafka.config import librdkafka_config
from streams.kafka.producer import EventProducer
from streams.kafka.tail import read_to_end
from streams.settings import KafkaSettings
from tests.connected.run_load import claim_and_die
from tests.connected.run_process import RunProcess

pytestmark = pytest.mark.connected
FLOWS = Path(__file__).with_name("run_flows.py")
ROOT = Path(__file__).parents[2]


class Runs:
    """Requests go in, logs come out."""

    def __init__(self, kafka: KafkaSettings, producer: EventProducer, folder: Path) -> None:
        self.kafka = kafka
        self.names: Topics = topics(kafka.topic_prefix, 1)
        ensure_topics(kafka, self.names.all())
        self.codec = fixed_codec()
        self.notes = folder / "notes"
        self.version = loader.version_of(FLOWS.read_bytes())
        self._producer = producer
        self._log = (folder / "worker.log").open("ab")
        self._processes: list[subprocess.Popen[bytes]] = []

    def worker(self, slots: int = 2) -> subprocess.Popen[bytes]:
        """Start a worker."""
        script = [sys.executable, "-m", "tests.connected.run_process", self.kafka.bootstrap_servers]
        process = subprocess.Popen(
            [*script, self.kafka.topic_prefix, str(FLOWS), str(slots)],
            cwd=ROOT,
            env={**os.environ, "ENSUE_TEST_NOTES": str(self.notes)},
            stderr=self._log,
        )
        self._processes.append(process)
        return process

    def request(self, flow: str, number: int = 0, **parameters: Any) -> str:
        """Ask for a run; return its id."""
        run_id, now_us = derived_id("run", flow, number), time.time_ns() // 1000
        item = RunRequest(
            id=run_id,
            event="ensue.run.requested",
            flow=flow,
            flow_version=self.version,
            trigger="t",
            trigger_version="1",
            firing_id=None,
            parameters=json.dumps(parameters),
            requested=now_us,
            event_occurred=now_us,
            correlation_id=run_id,
            causation_id=None,
            depth=1,
        )
        self._producer.produce(self.names.runs.name, 0, run_id.encode(), self.codec.encode(item)).result(10)
        return run_id

    def log(self, topic: str, cls: type) -> list[Any]:
        """All records of a topic."""
        client = librdkafka_config(self.kafka)
        return [
            self.codec.decode(record.value, cls)
            for batch in read_to_end(client, topic, 0)
            for record in batch
            if record.value is not None
        ]

    def states(self, run_id: str) -> list[str]:
        """The states that a run went through."""
        return [item.state for item in self.log(self.names.run_log.name, RunLog) if item.run_id == run_id]

    def ended(self, run_id: str) -> RunLog:
        """Wait for a run's end."""

        def ends() -> list[RunLog]:
            log = self.log(self.names.run_log.name, RunLog)
            return [r for r in log if r.run_id == run_id and r.ended is not None]

        wait(lambda: bool(ends()), f"the end of run {run_id}")
        (end,) = ends()
        return end

    def steps(self) -> list[str]:
        """What tasks have noted."""
        return self.notes.read_text().splitlines() if self.notes.exists() else []

    def close(self) -> None:
        """Kill what was started."""
        for process in self._processes:
            process.kill()
            process.wait(10)
        self._log.close()


def wait(ready: Callable[[], bool], what: str, timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not ready():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


@pytest.fixture
def runs(kafka: KafkaSettings, producer: EventProducer, tmp_path: Path) -> Iterator[Runs]:
    """Topics and workers of this test's own."""
    made = Runs(kafka, producer, tmp_path)
    yield made
    made.close()


def test_a_killed_worker_loses_no_step(runs: Runs) -> None:
    """After kill -9 in the middle of a flow the next worker goes on behind the finished tasks."""
    first = runs.worker()
    run_id = runs.request("three_steps", pause_s=1.0)
    wait(lambda: "pausing" in runs.steps(), "the pause")
    first.send_signal(signal.SIGKILL)
    runs.worker()
    end = runs.ended(run_id)
    assert (end.state, end.result) == ("succeeded", "3")
    assert [note for note in runs.steps() if note != "pausing"] == ["step 0", "step 1", "step 2"]
    states = runs.states(run_id)
    assert states == ["claimed", "running", "running", "succeeded"]

    def events() -> list[str]:
        return [
            item.event for item in {e.id: e for e in runs.log(runs.names.events.name, EventRecord)}.values()
        ]

    wait(lambda: len(events()) > 1, "the event of the run's end")
    assert sorted(events()) == ["ensue.run.succeeded", "steps.done"]


def test_a_second_worker_shuts_the_first_one_out(runs: Runs) -> None:
    """A paused worker that wakes up after its partition was taken ends nothing any more."""
    first = runs.worker()
    run_id = runs.request("three_steps", pause_s=1.0)
    wait(lambda: "pausing" in runs.steps(), "the pause")
    first.send_signal(signal.SIGSTOP)
    runs.worker()
    assert runs.ended(run_id).state == "succeeded"
    first.send_signal(signal.SIGCONT)
    time.sleep(1.5)
    assert [state for state in runs.states(run_id) if state == "succeeded"] == ["succeeded"]


def test_bad_flows_fail_alone(runs: Runs, tmp_path: Path) -> None:
    """Raising, exiting and hanging flows fail with their reason, the others run; retries are counted."""
    runs.worker(slots=3)
    ids = {flow: runs.request(flow) for flow in ("raises", "exits", "hangs", "short")}
    flaky = runs.request("flaky", marks=str(tmp_path / "marks"))
    assert runs.ended(ids["short"]).state == "succeeded"
    raised = runs.ended(ids["raises"])
    assert raised.state == "failed"
    assert json.loads(raised.error or "")["message"] == "no such thing"
    assert "sys.exit(3)" in json.loads(runs.ended(ids["exits"]).error or "")["message"]
    assert runs.ended(ids["hangs"]).state == "timed_out"
    end = runs.ended(flaky)
    assert (end.state, end.attempt) == ("succeeded", 3)
    assert runs.states(flaky) == ["claimed", *["running", "retrying"] * 2, "running", "succeeded"]
    assert runs.steps() == ["step 0"]


def test_a_request_that_comes_again_starts_nothing(runs: Runs) -> None:
    """The same request at a new offset, before and after a restart, is one run."""
    first = runs.worker()
    run_id = runs.request("short")
    runs.ended(run_id)
    runs.request("short")
    assert runs.ended(runs.request("short", 1)).state == "succeeded"
    first.kill()
    first.wait(10)
    runs.worker()
    runs.ended(runs.request("short", 2))
    assert runs.states(run_id) == ["claimed", "running", "succeeded"]


async def test_a_hundred_thousand_unfinished_runs_are_taken_over(kafka: KafkaSettings) -> None:
    """A new owner knows them all and runs the first ones within 30 s."""
    unfinished = 100_000
    worker = RunProcess(kafka, str(FLOWS), 1)
    ensure_topics(kafka, worker.topics.all())
    version = loader.version_of(FLOWS.read_bytes())
    await claim_and_die(RunProcess(kafka, str(FLOWS), 1), version, unfinished)
    began = time.monotonic()
    await worker.load()
    counts = worker.engine.counts
    try:
        while sum(counts.ended.values()) < 10:  # noqa: ASYNC110 - the counts are the event
            await asyncio.sleep(0.05)
        took_s = time.monotonic() - began
        assert worker.engine.queue.unfinished + sum(counts.ended.values()) == unfinished
        assert took_s < 30
    finally:
        await worker.stop()
