"""The worker as a part: evaluate and run, on one Faust app."""

import asyncio
import json
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

import uvloop

from schemas.codec import Codec
from schemas.record import Trigger
from schemas.topics import Topic
from streams.agents.app import WorkerApp
from streams.agents.evaluate import EvaluateShard, kafka_states
from streams.agents.ownership import Ownership
from streams.agents.shard import Assignment, OwnerState, Role, Shard
from streams.agents.watchdog import Watchdog
from streams.catalog.catalog import Catalog
from streams.catalog.compiled import CompiledDefinitions
from streams.errors import BadInput, Transport
from streams.kafka.config import librdkafka_config
from streams.kafka.fenced import FencedProducer
from streams.kafka.group_members import members
from streams.kafka.reader import PartitionReader
from streams.local.notice import announce_ready
from streams.runs.engine import RunEngine, kafka_journal
from streams.runs.executor import Executor
from streams.runs.flow_files import FlowFiles
from streams.runs.ports import RunLimits
from streams.runs.run_queue import RunQueue
from streams.runs.run_shard import RunShard
from streams.settings import Settings
from streams.store.queries.known import known_runs, stored_offset
from streams.store.queries.reader import StoreReader
from streams.wiring.common import app_name, started_codec, topics_of
from streams.wiring.definitions import follow_definitions
from streams.wiring.event_types import known_types

STOP_GRACE_S = 8.0
# The only pool: topics of its own come with a second one, or two pools would own the same journal.
POOL = "default"
_LOOK_EVERY_S = 0.1
LEFT_ALONE_S = 30.0
_log = logging.getLogger(__name__)


def run(settings: Settings, flow_files: Sequence[Path] = ()) -> None:
    """Evaluate and run until SIGTERM; `flow_files` stand in for files that lie elsewhere on this machine."""
    codec = started_codec(settings)
    follower, definitions = follow_definitions(settings, codec)
    store = StoreReader(settings.clickhouse)
    try:
        uvloop.run(_Worker(settings, codec, follower.catalog, definitions, store, flow_files).serve())
    finally:
        follower.close()
        store.close()


class _Worker:
    """Puts the parts together on a running loop."""

    def __init__(
        self,
        settings: Settings,
        codec: Codec,
        catalog: Catalog,
        definitions: CompiledDefinitions,
        store: StoreReader,
        flow_files: Sequence[Path],
    ) -> None:
        self._settings = settings
        self._codec = codec
        self._catalog = catalog
        self._definitions = definitions
        self._store = store
        self._here = {path.name: str(path) for path in flow_files}
        if len(self._here) < len(flow_files):
            raise BadInput("two flow files have one name; rename one: a flow file is known by its name")
        self._names = topics_of(settings)
        self._types = known_types(settings)
        self._client = librdkafka_config(settings.kafka)
        self._name = f"{socket.gethostname()}.{os.getpid()}"
        self._ownerships: list[Ownership] = []
        self._group = f"{app_name(settings)}.worker.{POOL}"
        self._assigned = 0
        self._empty_since_s = time.monotonic()

    async def serve(self) -> None:
        """Join the group and work until SIGTERM; raises Transport when Faust has crashed."""
        settings = self._settings
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        executor = Executor(slots=settings.worker.slots, output_bytes=settings.worker.output_bytes)
        await executor.start()
        flows = FlowFiles(newest=self._newest, position=lambda: self._catalog.position)
        app = WorkerApp(
            settings.kafka,
            group=self._group,
            data=settings.data / "worker",
            session_timeout_s=settings.worker.session_timeout_s,
        )
        reader = PartitionReader(self._client)
        watchdog = Watchdog(reader, app.heard_s)
        watchdog.start()
        self._own(app, reader, "evaluate", self._names.candidates, self._evaluate_shard)
        engine = self._engine(executor, flows)
        self._own(app, reader, "run", self._names.runs, lambda partition: RunShard(partition, engine))
        app.on_assignment = self._note
        await app.start()
        looking = asyncio.ensure_future(self._look(executor, flows))
        beside = [asyncio.ensure_future(app.run()), looking, asyncio.ensure_future(stopped.wait())]
        await asyncio.wait(beside, return_when=asyncio.FIRST_COMPLETED)
        try:
            for task in beside:
                if task.done():
                    task.result()
        finally:
            await self._stop(app, executor, reader, watchdog)
            for task in beside:
                task.cancel()

    async def _stop(
        self, app: WorkerApp, executor: Executor, reader: PartitionReader, watchdog: Watchdog
    ) -> None:
        watchdog.stop()
        await executor.stop(STOP_GRACE_S)
        await app.stop()
        await asyncio.to_thread(reader.close)

    def _own(
        self, app: WorkerApp, reader: PartitionReader, role: str, topic: Topic, shards: Callable[[int], Shard]
    ) -> None:
        deliver, _ = app.agent(role, topic.name)
        prefix = f"{app_name(self._settings)}.{role}.{POOL}"
        ownership = Ownership(
            Role(name=role, topic=topic.name),
            group=app.group,
            reader=reader,
            open_fence=lambda partition, lost: FencedProducer(
                self._client, f"{prefix}.{partition}", on_lost=lost
            ),
            shards=shards,
            deliver=deliver,
        )
        app.add(ownership)
        self._ownerships.append(ownership)

    def _evaluate_shard(self, partition: int) -> EvaluateShard:
        return EvaluateShard(
            partition,
            topics=self._names,
            codec=self._codec,
            definitions=self._definitions,
            open_states=kafka_states(self._client, self._names),
        )

    def _engine(self, executor: Executor, flows: FlowFiles) -> RunEngine:
        settings = self._settings
        return RunEngine(
            topics=self._names,
            codec=self._codec,
            worker=self._name,
            executor=executor,
            flows=flows,
            queue=RunQueue(2 * executor.slots),
            known_runs=self._known_runs,
            stored_offset=self._stored_offset,
            open_journal=kafka_journal(self._client, self._names),
            limits=RunLimits(
                claims_max=settings.worker.claims_max,
                run_timeout_s=settings.worker.run_timeout_s,
                dedupe_for_s=settings.dedupe_for_s,
                event_bytes_max=settings.limits.event_bytes,
            ),
            types=self._types,
        )

    def _newest(self) -> Mapping[str, tuple[int, Trigger]]:
        """Return the newest definitions, with the paths that flow files have on this machine."""
        newest = self._catalog.newest().items()
        return {name: (at, relocated(item, self._here)) for name, (at, item) in newest}

    async def _known_runs(self, ids: Collection[str]) -> Mapping[str, str]:
        return await asyncio.to_thread(known_runs, self._store, ids)

    async def _stored_offset(self, partition: int) -> int:
        return await asyncio.to_thread(stored_offset, self._store, self._names.run_log.name, partition)

    def _note(self, assignment: Assignment) -> None:
        assigned = sum(len(partitions) for partitions in assignment.partitions.values())
        if assigned or self._assigned:
            self._empty_since_s = time.monotonic()
        self._assigned = assigned

    async def _end_when_left_alone(self) -> None:
        """Raise Transport when the group has places for this member and gives it none."""
        empty_for_s = time.monotonic() - self._empty_since_s
        if self._assigned or empty_for_s < LEFT_ALONE_S:
            return
        count = await asyncio.to_thread(members, self._client, self._group)
        self._empty_since_s = time.monotonic()
        if left_alone(count, self._names.runs.partitions):
            raise Transport(
                f"no partition was assigned for {empty_for_s:.0f} s in a group of {count}: its leader saw no "
                "topics, as happens right after a broker's restart; this worker ends and is started again"
            )

    async def _look(self, executor: Executor, flows: FlowFiles) -> None:
        """Load flow files ahead, announce readiness once partitions are active, notice having none."""
        loaded: set[str] = set()
        announced = False
        while True:
            await self._end_when_left_alone()
            for file in flows.files() - loaded:
                executor.preload(file)
                loaded.add(file)
            if not announced and all(self._active(ownership) for ownership in self._ownerships):
                announced = True
                announce_ready(self._settings.data, "worker", name=self._name, slots=executor.slots)
            await asyncio.sleep(_LOOK_EVERY_S)

    @staticmethod
    def _active(ownership: Ownership) -> bool:
        return bool(ownership.states) and all(
            state is OwnerState.ACTIVE for state in ownership.states.values()
        )


def left_alone(count: int | None, partitions: int) -> bool:
    """Tell whether a group of `count` members must have a partition for each of them; None: nobody knows."""
    return count is not None and 0 < count <= partitions


def relocated(item: Trigger, here: Mapping[str, str]) -> Trigger:
    """Return `item` with the path of its flow file replaced by the one of the same name in `here`, if any."""
    if not here or not item.flow_definition:
        return item
    definition = json.loads(item.flow_definition)
    local = here.get(PurePath(str(definition.get("file", ""))).name)
    return item if local is None else replace(item, flow_definition=json.dumps({**definition, "file": local}))
