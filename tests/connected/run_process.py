"""A worker of runs to be killed: `run_process.py BOOTSTRAP PREFIX FLOW_FILE SLOTS`; one partition."""

import asyncio
import json
import logging
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from flows import loader
from schemas.codec import fixed_codec
from schemas.record import Trigger
from schemas.topics import topics
from streams.agents.shard import Batch
from streams.errors import Transport
from streams.kafka.config import librdkafka_config
from streams.kafka.fenced import FencedProducer
from streams.kafka.log_record import LogRecord
from streams.kafka.reader import PartitionReader
from streams.runs.engine import RunEngine, kafka_journal
from streams.runs.executor import Executor
from streams.runs.flow_files import FlowFiles
from streams.runs.ports import RunLimits
from streams.runs.run_queue import RunQueue
from streams.runs.run_shard import RunShard
from streams.settings import KafkaSettings


def deployed(file: str) -> Mapping[str, tuple[int, Trigger]]:
    """The definitions that a deployment of the file would publish, as the engine needs them."""
    loaded = loader.load(file)
    return {
        flow.name: (
            number,
            Trigger(
                id="",
                event="",
                name=flow.name,
                version="",
                definition="{}",
                flow=flow.name,
                flow_version=loaded.version,
                flow_definition=json.dumps(flow.definition(file)),
                deployment_id="",
                published=0,
                published_by="",
            ),
        )
        for number, flow in enumerate(loader.flows_of(loaded.module))
    }


async def no_store(_ids: Collection[str]) -> Mapping[str, str]:
    """Nobody may need it here."""
    raise Transport("there is no store")


async def nothing_stored(_partition: int) -> int:
    """The sink stands still."""
    return 0


class RunProcess:
    """A shard of one partition on the real broker, with the real executor."""

    def __init__(self, kafka: KafkaSettings, file: str, slots: int) -> None:
        self.client = librdkafka_config(kafka)
        self.topics = topics(kafka.topic_prefix, 1)
        self.executor = Executor(slots=slots)
        definitions = deployed(file)
        self.engine = RunEngine(
            topics=self.topics,
            codec=fixed_codec(),
            worker="worker",
            executor=self.executor,
            flows=FlowFiles(newest=lambda: definitions, position=lambda: 1),
            queue=RunQueue(2 * slots),
            known_runs=no_store,
            stored_offset=nothing_stored,
            open_journal=kafka_journal(self.client, self.topics),
            limits=RunLimits(run_timeout_s=2.0),
        )
        self.shard = RunShard(0, self.engine)
        self.fence = FencedProducer(self.client, f"{kafka.topic_prefix}run.0")

    async def load(self) -> None:
        """Take the partition."""
        await self.executor.start()
        await asyncio.to_thread(self.fence.open)
        await self.shard.load(self.fence)

    async def serve(self) -> None:
        """Handle all requests from the beginning of the log: ids decide which are new."""
        reader, loop = PartitionReader(self.client), asyncio.get_running_loop()
        arrived: asyncio.Queue[Sequence[LogRecord]] = asyncio.Queue()
        reader.start(
            self.topics.runs.name, 0, 0, lambda rs: loop.call_soon_threadsafe(arrived.put_nowait, rs)
        )
        while True:
            records = await arrived.get()
            for at in range(0, len(records), 256):
                await self.shard.handle(Batch(records[at : at + 256], lambda _offset: None))
            reader.taken(self.topics.runs.name, 0, len(records))

    async def stop(self) -> None:
        """Let go of everything."""
        self.shard.drop()
        await self.executor.stop(0)
        await asyncio.to_thread(self.fence.close)


async def main(bootstrap: str, prefix: str, file: str, slots: int) -> None:
    """Serve until killed."""
    worker = RunProcess(KafkaSettings(bootstrap_servers=bootstrap, topic_prefix=prefix), file, slots)
    await worker.load()
    await worker.serve()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    asyncio.run(main(sys.argv[1], sys.argv[2], str(Path(sys.argv[3])), int(sys.argv[4])))
