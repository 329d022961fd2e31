"""A worker process: `worker.py BOOTSTRAP NAME FOLDER fenced|plain SESSION_S`."""

import asyncio
import faulthandler
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from streams.agents.app import WorkerApp
from streams.agents.ownership import Ownership
from streams.agents.shard import Change, Role
from streams.agents.watchdog import Watchdog
from streams.kafka.config import librdkafka_config
from streams.kafka.fenced import FencedProducer
from streams.kafka.reader import PartitionReader
from streams.settings import KafkaSettings
from tests.simulation.ownership.engine import EvaluateShard, RunShard
from tests.simulation.ownership.plain import PlainProducer

COMMIT_EVERY_S = 1.0  # so that compaction by force has something to compact


async def main(bootstrap: str, name: str, folder: Path, kind: str, session_s: float) -> None:
    # First of all: a SIGTERM while the worker joins must still let it leave the group.
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    ledger_file = (folder / f"{name}.ledger").open("a", buffering=1)

    def ledger(what: str, **more: Any) -> None:
        ledger_file.write(json.dumps({"t": time.time(), "what": what, "worker": name, **more}) + "\n")

    def changed(change: Change) -> None:
        ledger("state", role=change.role, partition=change.partition, state=change.state)

    client = librdkafka_config(KafkaSettings(bootstrap_servers=bootstrap))
    make = FencedProducer if kind == "fenced" else PlainProducer
    worker = WorkerApp(
        KafkaSettings(bootstrap_servers=bootstrap),
        group="ownership",
        data=folder / name,
        session_timeout_s=session_s,
    )
    reader = PartitionReader(client)
    tenures = iter(range(1_000_000))

    def add(role: str, topic: str, shards: Any) -> None:
        deliver, _ = worker.agent(role, topic)
        worker.add(
            Ownership(
                Role(name=role, topic=topic),
                group=worker.group,
                reader=reader,
                open_fence=lambda partition, lost: make(
                    client, f"own.{role}.{partition}", commit_every_s=COMMIT_EVERY_S, on_lost=lost
                ),
                shards=shards,
                deliver=deliver,
                on_change=changed,
            )
        )

    add("evaluate", "candidates", lambda p: EvaluateShard(client, p))
    add("run", "runs", lambda p: RunShard(client, p, f"{name}.{next(tenures)}", ledger))
    worker.on_assignment = lambda a: ledger(
        "assigned", generation=a.generation, partitions=sorted(a.of("runs"))
    )
    watchdog = Watchdog(reader, worker.heard_s)
    await worker.start()
    watchdog.start()
    ledger("started", pid=os.getpid())
    crashed = asyncio.ensure_future(worker.run())
    await asyncio.wait({crashed, asyncio.ensure_future(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
    if crashed.done():
        crashed.result()
    watchdog.stop()
    await worker.stop()
    await asyncio.to_thread(reader.close)
    ledger("stopped")


if __name__ == "__main__":
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr
    )
    faulthandler.enable()
    bootstrap_servers, worker_name, data, producers, session = sys.argv[1:6]
    asyncio.run(main(bootstrap_servers, worker_name, Path(data), producers, float(session)))
