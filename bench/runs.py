"""Runs per second, from handle() to a flow's first line, and taking over 100,000 unfinished runs.

A broker of its own, one worker process as in production but for Faust: fence, journal, executor are real.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench._report import keep, percentiles, table
from flows import loader
from schemas.record import RunLog
from streams.agents.shard import Batch
from streams.kafka.admin import ensure_topics
from streams.kafka.tail import read_to_end
from streams.local.broker import LocalBroker
from streams.local.ports import choose_port
from streams.runs.engine import RunEngine
from streams.settings import KafkaSettings
from tests.connected.run_load import claim_and_die, request
from tests.connected.run_process import RunProcess

FLOWS = Path(__file__).parents[1] / "tests" / "connected" / "run_flows.py"
SLOTS = int(os.environ.get("ENSUE_BENCH_SLOTS", "4"))
RUNS = int(os.environ.get("ENSUE_BENCH_RUNS", "3000"))
UNFINISHED = int(os.environ.get("ENSUE_BENCH_UNFINISHED", "100000"))


async def until_finished(engine: RunEngine, count: int) -> None:
    """Wait until so many runs have ended."""
    while sum(engine.counts.ended.values()) < count:  # noqa: ASYNC110 - a benchmark may poll
        await asyncio.sleep(0.01)


async def throughput(worker: RunProcess, version: str, kind: str) -> dict[str, float]:
    """All requests at once, in batches of 256."""
    records = [request(worker.engine, version, n, kind) for n in range(RUNS)]
    before, began, cpu_s = sum(worker.engine.counts.ended.values()), time.perf_counter(), time.process_time()
    for at in range(0, RUNS, 256):
        await worker.shard.handle(Batch(records[at : at + 256], lambda _offset: None))
    accepted_s = time.perf_counter() - began
    await until_finished(worker.engine, before + RUNS)
    return {
        "accepted_per_s": round(RUNS / accepted_s),
        "executed_per_s": round(RUNS / (time.perf_counter() - began)),
        "worker_cpu_ms_per_run": round((time.process_time() - cpu_s) / RUNS * 1e3, 2),
    }


async def latency(worker: RunProcess, version: str, rate_per_s: int, count: int = 400) -> dict[str, float]:
    """Single requests at a steady rate; ms from handle() to the flow's first line."""
    given: dict[str, int] = {}
    before, tasks = sum(worker.engine.counts.ended.values()), []
    for n in range(count):
        record = request(worker.engine, version, n, f"rate{rate_per_s}")
        given[(record.key or b"").decode()] = time.time_ns() // 1000
        tasks.append(asyncio.ensure_future(worker.shard.handle(Batch([record], lambda _offset: None))))
        await asyncio.sleep(1 / rate_per_s)
    await asyncio.gather(*tasks)
    await until_finished(worker.engine, before + count)
    started = await asyncio.to_thread(started_of, worker)
    return percentiles([(started[run_id] - at) / 1000 for run_id, at in given.items()])


def started_of(worker: RunProcess) -> dict[str, int]:
    """When each run's first line ran."""
    found = {}
    for batch in read_to_end(worker.client, worker.topics.run_log.name, 0):
        for record in batch:
            item = worker.engine.codec.decode(record.value or b"", RunLog)
            if item.state == "running":
                found[item.run_id] = item.at
    return found


async def recovery(kafka: KafkaSettings, version: str) -> dict[str, float]:
    """Load a partition with so many claims and no end."""
    await claim_and_die(RunProcess(kafka, str(FLOWS), 1), version, UNFINISHED)
    worker = RunProcess(kafka, str(FLOWS), 1)
    began = time.perf_counter()
    await worker.load()
    loaded_s = time.perf_counter() - began
    while worker.engine.counts.attempts < 10:  # noqa: ASYNC110 - a benchmark may poll
        await asyncio.sleep(0.005)
    began_s = time.perf_counter() - began
    held = worker.engine.queue.unfinished
    await worker.stop()
    return {"unfinished": held, "loaded_s": round(loaded_s, 2), "tenth_run_begun_s": round(began_s, 2)}


async def main(kafka: KafkaSettings) -> None:
    """Measure and print."""
    worker = RunProcess(kafka, str(FLOWS), SLOTS)
    ensure_topics(kafka, worker.topics.all())
    version = loader.version_of(FLOWS.read_bytes())
    await worker.load()
    worker.executor.preload(str(FLOWS))
    await throughput(worker, version, "warm-up")
    figures = [{"rate_per_s": rate, **await latency(worker, version, rate)} for rate in (50, 200)]
    bursts = [await throughput(worker, version, f"burst{n}") for n in range(3)]
    await worker.stop()
    other = kafka.model_copy(update={"topic_prefix": "bench-recovery."})
    ensure_topics(other, RunProcess(other, str(FLOWS), 1).topics.all())
    recovered = await recovery(other, version)
    print("handle() to the first line, ms")
    table(figures)
    median = {name: statistics.median(one[name] for one in bursts) for name in bursts[0]}
    print(f"accepted {median['accepted_per_s']}/s, executed {median['executed_per_s']}/s, {SLOTS} slots")
    print(f"CPU of the worker itself: {median['worker_cpu_ms_per_run']} ms a run")
    print(recovered)
    whole = {"latency_ms": figures, "bursts": bursts, "recovery": recovered}
    print(keep("runs", whole, {"slots": SLOTS, "runs": RUNS, "unfinished": UNFINISHED}))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="ensue-bench-") as folder:
        broker = LocalBroker(Path(folder), choose_port())
        broker.start()
        try:
            asyncio.run(main(broker.settings()))
        finally:
            broker.stop()
