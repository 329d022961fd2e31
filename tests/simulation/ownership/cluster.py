"""Worker processes, topics compacted by force, and the load."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from schemas.shard import shard
from streams.kafka.config import librdkafka_config
from streams.settings import KafkaSettings

PARTITIONS = 8
ROOT = Path(__file__).parents[3]
# Kept for ever but for what the owner deletes; segments roll by force, so that deletion really happens.
_OWNED = {"cleanup.policy": "delete", "retention.ms": "-1", "segment.ms": "1000"}
NATIVE = {-signal.SIGABRT, -signal.SIGSEGV}
TOPICS: dict[str, dict[str, str]] = {
    "candidates": {},
    "state": _OWNED,
    "runs": {},
    "journal": _OWNED,
    "run-log": {},
}


def create_topics(bootstrap: str) -> None:
    """Create what the experiment writes to."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    stamped = {"message.timestamp.type": "LogAppendTime"}
    made = admin.create_topics(
        [NewTopic(name, PARTITIONS, 1, config={**stamped, **more}) for name, more in TOPICS.items()]
    )
    for done in made.values():
        done.result(30)


class Load:
    """Writes in order, one request at a time, and remembers every acknowledged id.

    Not idempotent: with a backlog such a producer spins, and would take the processor from those under test.
    """

    def __init__(self, bootstrap: str) -> None:
        settings = KafkaSettings(bootstrap_servers=bootstrap)
        self._producer = Producer(librdkafka_config(settings, acks="all", max_in_flight=1, linger_ms=5))
        self.acked: set[bytes] = set()
        self.per_key: dict[bytes, int] = {}
        self.silent_s_max = 0.0  # longest time that a steady load went without an acknowledgement
        self._heard_s = time.monotonic()

    def _write(self, topic: str, key: bytes, value: bytes, run: bytes, by: bytes) -> None:
        def done(error: Any, _message: Any) -> None:
            assert error is None, error
            self.acked.add(run)
            now_s = time.monotonic()
            self.silent_s_max = max(self.silent_s_max, now_s - self._heard_s)
            self._heard_s = now_s
            if topic == "candidates":
                self.per_key[key] = self.per_key.get(key, 0) + 1

        self._producer.produce(topic, value, key, partition=shard(by, PARTITIONS), on_delivery=done)

    def unfinished_runs(self, count: int) -> None:
        """Journal rows of runs that were claimed and never finished."""
        for n in range(count):
            run = b"old-%08d" % n
            self._write("journal", run, b"claimed", run, run)
            if n % 1000 == 0:
                self._producer.poll(0)
        self._producer.flush(60)

    def requests(self, count: int, burst: int) -> list[bytes]:
        """Run requests all at once; `burst` numbers them."""
        runs = [b"burst%d-%08d" % (burst, n) for n in range(count)]
        for n, run in enumerate(runs):
            self._write("runs", run, b"0", run, run)
            if n % 1000 == 0:
                self._producer.poll(0)
        self._producer.flush(60)
        return runs

    def candidates(self, rate_per_s: float, until_s: float) -> Iterator[None]:
        """Candidates of 400 keys at a steady rate; yields about every 10 ms."""
        started, sent = time.monotonic(), len(self.acked)
        self.silent_s_max, self._heard_s = 0.0, started
        first = sent
        while time.monotonic() < until_s:
            due = int((time.monotonic() - started) * rate_per_s)
            while sent - first < due:
                key = b"key-%d" % (sent % 400)
                run = b"new-%08d" % sent
                self._write("candidates", key, run, run, key)
                sent += 1
            self._producer.poll(0.01)
            yield
        self._producer.flush(60)


@dataclass(slots=True)
class Worker:
    name: str
    process: subprocess.Popen[bytes]
    paused: bool = False


@dataclass(slots=True)
class Cluster:
    """Workers that can be started, stopped, killed and paused, with a ledger of what was done to them."""

    bootstrap: str
    folder: Path
    kind: str = "fenced"
    session_s: float = 10.0
    workers: list[Worker] = field(default_factory=list)
    left: list[Worker] = field(default_factory=list)
    done: list[dict[str, Any]] = field(default_factory=list)
    _count: int = 0

    def note(self, what: str, worker: Worker) -> None:
        line = {"t": time.time(), "what": what, "worker": worker.name}
        self.done.append(line)
        with (self.folder / "nemesis.json").open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(f"{time.strftime('%X')} {what} {worker.name}", flush=True)

    def join(self) -> Worker:
        name, self._count = f"w{self._count}", self._count + 1
        with (self.folder / f"{name}.log").open("wb") as log:
            script = [sys.executable, "-m", "tests.simulation.ownership.worker", self.bootstrap, name]
            process = subprocess.Popen(
                [*script, str(self.folder), self.kind, str(self.session_s)],
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        worker = Worker(name, process)
        self.workers.append(worker)
        self.note("join", worker)
        return worker

    def leave(self, worker: Worker) -> None:
        self.note("leave", worker)
        self.workers.remove(worker)
        self.left.append(worker)
        worker.process.send_signal(signal.SIGTERM)

    def kill(self, worker: Worker) -> None:
        self.note("kill", worker)
        self.workers.remove(worker)
        worker.process.kill()
        worker.process.wait(10)

    def pause(self, worker: Worker) -> None:
        self.note("pause", worker)
        worker.paused = True
        worker.process.send_signal(signal.SIGSTOP)

    def resume(self, worker: Worker) -> None:
        self.note("resume", worker)
        worker.paused = False
        worker.process.send_signal(signal.SIGCONT)

    def crashed(self) -> list[str]:
        """Workers that ended by themselves; a crash of a C library counts as one more kill -9, noted."""
        for worker in list(self.workers):
            if worker.process.poll() in NATIVE:
                self.workers.remove(worker)
                self.note("native crash", worker)
        return [w.name for w in self.workers if w.process.poll() is not None]

    @property
    def native(self) -> int:
        """How many workers a C library ended."""
        return sum(line["what"] == "native crash" for line in self.done)

    def ledger(self) -> list[dict[str, Any]]:
        """What workers and nemesis noted, in order of time."""
        lines: list[dict[str, Any]] = list(self.done)
        for path in self.folder.glob("*.ledger"):
            lines += [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
        return sorted(lines, key=lambda line: line["t"])

    def active(self) -> set[tuple[str, int]]:
        """Who is active now, by the workers' own word."""
        states: dict[tuple[str, int], str] = {}
        for line in self.ledger():
            if line["what"] == "state" and line["state"] in ("active", "lost"):
                place = (line["role"], line["partition"])
                if line["state"] == "active":
                    states[place] = line["worker"]
                elif states.get(place) == line["worker"]:
                    del states[place]
        return set(states)

    def wait_active(self, timeout_s: float) -> None:
        """Wait until every partition of both roles has an owner."""
        deadline = time.monotonic() + timeout_s
        while len(self.active()) < 2 * PARTITIONS:
            assert time.monotonic() < deadline, f"only {len(self.active())} of {2 * PARTITIONS} are owned"
            assert not self.crashed(), f"ended by themselves: {self.crashed()}"
            time.sleep(0.2)

    def stop(self) -> None:
        """End all processes that this cluster started."""
        for worker in self.workers:
            if worker.paused:
                self.resume(worker)
            worker.process.terminate()
        for worker in (*self.workers, *self.left):
            try:
                worker.process.wait(30)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait(10)
                self.note("hung", worker)
        self.workers.clear()
        self.left.clear()
