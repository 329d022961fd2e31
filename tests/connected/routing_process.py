"""A router or an evaluator to be killed: `routing_process.py router|forgetful|evaluate BROKER PREFIX DIR`."""

import asyncio
import logging
import signal
import sys
from collections.abc import Collection
from pathlib import Path

from schemas.codec import fixed_codec
from schemas.topics import topics
from streams.agents.app import WorkerApp
from streams.agents.evaluate import EvaluateShard, kafka_states
from streams.agents.ownership import Ownership
from streams.agents.shard import Role
from streams.catalog.compiled import CompiledDefinitions
from streams.catalog.follower import Follower
from streams.catalog.log import KafkaDefinitionsLog
from streams.errors import Transport
from streams.kafka.config import librdkafka_config
from streams.kafka.fenced import FencedProducer
from streams.kafka.reader import PartitionReader
from streams.router import partition as partition_module
from streams.router.known_ids import KnownIds
from streams.router.router import Router, RouterOptions
from streams.settings import KafkaSettings

PARTITIONS = 4
SESSION_S = 2.0


class AbsentStore:
    """Nobody may need it here: the windows hold the whole log."""

    async def earlier(self, _ids: Collection[str], *, partition: int, before: int) -> Collection[str]:
        raise Transport(f"there is no store to ask about events[{partition}] below {before}")


class Forgetful(KnownIds):
    """Deduplication switched off: what a test must be seen to fail with."""

    def turn(self, offset: int, log_ms: int) -> None:
        """Forget everything."""
        del offset, log_ms
        self.young, self.old = set(), set()


async def route(kafka: KafkaSettings, definitions: CompiledDefinitions, stop: asyncio.Event) -> None:
    """Route until told to stop."""
    router = Router(
        kafka,
        topics(kafka.topic_prefix, PARTITIONS),
        fixed_codec(),
        definitions=definitions,
        known_events=AbsentStore(),
        options=RouterOptions(app=kafka.topic_prefix.strip("."), session_timeout_s=SESSION_S),
    )
    running = asyncio.ensure_future(router.run())
    await stop.wait()
    router.stop()
    await running


async def evaluate(
    kafka: KafkaSettings, definitions: CompiledDefinitions, stop: asyncio.Event, folder: Path
) -> None:
    """Evaluate until told to stop."""
    names, app = topics(kafka.topic_prefix, PARTITIONS), kafka.topic_prefix.strip(".")
    client = librdkafka_config(kafka)
    worker = WorkerApp(kafka, group=f"{app}.worker", data=folder, session_timeout_s=SESSION_S)
    reader = PartitionReader(client)
    deliver, _ = worker.agent("evaluate", names.candidates.name)
    worker.add(
        Ownership(
            Role(name="evaluate", topic=names.candidates.name),
            group=worker.group,
            reader=reader,
            open_fence=lambda partition, lost: FencedProducer(
                client, f"{app}.evaluate.default.{partition}", on_lost=lost
            ),
            shards=lambda partition: EvaluateShard(
                partition,
                topics=names,
                codec=fixed_codec(),
                definitions=definitions,
                open_states=kafka_states(client, names),
            ),
            deliver=deliver,
        )
    )
    await worker.start()
    await stop.wait()
    await worker.stop()
    await asyncio.to_thread(reader.close)


async def main(kind: str, bootstrap: str, prefix: str, folder: Path) -> None:
    """Run one of the two."""
    kafka = KafkaSettings(bootstrap_servers=bootstrap, topic_prefix=prefix)
    follower = Follower(KafkaDefinitionsLog(kafka, topics(prefix, PARTITIONS).triggers.name), fixed_codec())
    definitions = CompiledDefinitions(await asyncio.to_thread(follower.start))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    if kind == "forgetful":
        partition_module.KnownIds = Forgetful  # type: ignore[misc]
    if kind in {"router", "forgetful"}:
        await route(kafka, definitions, stop)
    else:
        await evaluate(kafka, definitions, stop, folder)
    follower.close()


if __name__ == "__main__":
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr
    )
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4])))
