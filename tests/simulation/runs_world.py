"""Logs in memory, owners of runs that die between any two rows, and flows that count what they do."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from flows.core import identity
from flows.retry import Retry
from flows.testing import make_event
from schemas.codec import Codec, fixed_codec, peek
from schemas.event import Event
from schemas.identity import derived_id
from schemas.record import EventRecord, Journal, RunLog, RunRequest, TaskLog
from schemas.shard import shard
from schemas.topics import topics
from streams.agents.shard import Batch
from streams.errors import Fenced, Transport
from streams.kafka.fenced import Row
from streams.kafka.log_record import LogRecord
from streams.runs.child_job import Job, JobResult, RunCallbacks
from streams.runs.engine import RunEngine
from streams.runs.ports import FlowFile, RunLimits
from streams.runs.run_queue import RunQueue
from streams.runs.run_shard import RunShard

START_US = 1_763_000_000_000_000
TASKS = ("a:0", "b:0", "c:0")
LIMITS = RunLimits(park_poll_s=0.02, forget_every_s=3600, retry_s=0.01)


@dataclass
class World:
    """Everything that outlives an owner."""

    partitions: int = 1
    limits: RunLimits = LIMITS
    logs: dict[tuple[str, int], list[LogRecord]] = field(default_factory=dict)
    now: int = START_US
    codec: Codec = field(default_factory=fixed_codec)
    executed: Counter[tuple[str, str]] = field(default_factory=Counter)  # (run, task key)
    again: list[tuple[str, str]] = field(
        default_factory=list
    )  # executed though its end stands in the journal
    files: dict[tuple[str, str], FlowFile] = field(default_factory=dict)
    store_away: bool = False
    stored: int = 0
    emit: bool = True

    def __post_init__(self) -> None:
        self.topics = topics("sim.", self.partitions)
        self.epochs: Counter[int] = Counter()
        self.files["load", "v1"] = FlowFile(file="flows.py", retry=Retry(retries=0))
        self.script: Callable[[Job], str] = lambda _job: "succeeded"
        self.pause_s: Callable[[], float] = lambda: 0.0

    def now_us(self) -> int:
        self.now += 1000
        return self.now

    def monotonic_s(self) -> float:
        return self.now / 1e6

    def append(self, name: str, partition: int, key: bytes | None, value: bytes | None) -> int:
        """Write one record; offsets have gaps, as markers leave them."""
        log = self.logs.setdefault((name, partition), [])
        offset = (log[-1].offset + 1 if log else 0) + len(log) % 3
        log.append(LogRecord(name, partition, offset, self.now // 1000, key, value, ()))
        return offset

    def request(self, number: int, *, occurred: int | None = None, **more: object) -> RunRequest:
        """Write and return a run request."""
        event = make_event("file.created", {"resource.id": f"file.{number}"})
        values = {
            "id": derived_id("run", number),
            "event": "ensue.run.requested",
            "flow": "load",
            "flow_version": "v1",
            "trigger": "files",
            "trigger_version": "1",
            "firing_id": derived_id("firing", number),
            "parameters": "{}",
            "requested": self.now,
            "event_occurred": self.now if occurred is None else occurred,
            "correlation_id": event.id,
            "causation_id": event.id,
            "event_ids": (event.id,),
            "depth": 1,
            **more,
        }
        request = RunRequest(**values)  # type: ignore[arg-type]
        place = shard(request.id, self.partitions)
        self.append(self.topics.runs.name, place, request.id.encode(), self.codec.encode(request))
        return request

    # What the checks ask.

    def records(self, topic: str, cls: type) -> list:
        """All records of a topic, decoded, in the order of their partitions."""
        return [
            self.codec.decode(record.value, cls)
            for (name, _), log in sorted(self.logs.items())
            if name == topic
            for record in log
            if record.value is not None
        ]

    def run_log(self, run_id: str) -> list[RunLog]:
        return [r for r in self.records(self.topics.run_log.name, RunLog) if r.run_id == run_id]

    def task_log(self, run_id: str) -> list[TaskLog]:
        return [r for r in self.records(self.topics.task_log.name, TaskLog) if r.run_id == run_id]

    def events(self) -> list[EventRecord]:
        return self.records(self.topics.events.name, EventRecord)

    def journal_rows(self, partition: int) -> dict[bytes, bytes]:
        """The newest value of every key."""
        rows: dict[bytes, bytes] = {}
        for record in self.logs.get((self.topics.journal.name, partition), []):
            if record.value is None:
                rows.pop(record.key or b"", None)
            else:
                rows[record.key or b""] = record.value
        return rows

    def unfinished(self) -> list[bytes]:
        """Keys of claims whose run has not ended."""
        rows = [row for p in range(self.partitions) for row in self.journal_rows(p).items()]
        return [key for key, value in rows if peek(value)[1] != "ensue.journal.finished"]

    def journaled(self, run_id: str, task_key: str) -> bool:
        """Whether the end of a task stands in the journal's log, whoever knows it."""
        rows = self.journal_rows(shard(run_id, self.partitions))
        return any(
            item.run_id == run_id and item.task_key == task_key
            for item in (self.codec.decode(value, Journal) for value in rows.values())
        )


class SimulatedFence:
    """A fenced producer; its process dies after `rows_max` rows, the last ones unacknowledged."""

    def __init__(self, world: World, partition: int, rows_max: int = 10**9) -> None:
        world.epochs[partition] += 1
        self._epoch = world.epochs[partition]
        self._world = world
        self._partition = partition
        self._left = rows_max
        self.lost = asyncio.Event()
        self.rows = 0

    def write(self, rows: Sequence[Row]) -> "Future[list[int]]":
        future: Future[list[int]] = Future()
        offsets = []
        for topic, partition, key, value, _ in rows:
            if self.lost.is_set() or not self._left or self._world.epochs[self._partition] != self._epoch:
                self.lost.set()
                future.set_exception(Fenced("shut out"))
                return future
            offsets.append(self._world.append(topic, partition, key, value))
            self._left -= 1
            self.rows += 1
        future.set_result(offsets)
        return future


class MemoryJournal:
    """The journal of one owner: the log folded at load, then its own rows."""

    def __init__(self, world: World, partition: int) -> None:
        self._world = world
        self._partition = partition
        self.rows: dict[bytes, bytes] = {}

    def load(self) -> None:
        self.rows = self._world.journal_rows(self._partition)

    def stage(self, key: bytes, value: bytes | None) -> Row:
        if value is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = value
        return Row(self._world.topics.journal.name, self._partition, key, value)

    def snapshot_if_due(self) -> None: ...

    def close(self) -> None: ...


class SimulatedRunner:
    """Runs a flow of three tasks that emits an event after the second."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.jobs: list[Job] = []

    async def run(self, job: Job, calls: RunCallbacks) -> JobResult:
        world = self._world
        self.jobs.append(job)
        await calls.on_started(world.now_us())
        for key in TASKS:
            await asyncio.sleep(world.pause_s())
            if key == "c:0" and world.emit:
                await calls.emit(emitted(job))
            if key not in job.recalled:
                await self._execute(job, key, calls)
        state = world.script(job)
        error = None if state == "succeeded" else '{"type": "X", "message": "m", "traceback": ""}'
        return JobResult(
            state=state, result='"done"', error=error, ended_us=world.now_us(), started_us=world.now
        )

    async def _execute(self, job: Job, key: str, calls: RunCallbacks) -> None:
        world = self._world
        if world.journaled(job.run_id, key):
            world.again.append((job.run_id, key))
        world.executed[job.run_id, key] += 1
        name = key.partition(":")[0]
        await calls.task_started(task=name, task_key=key, attempt=1, at_us=world.now_us())
        await calls.task_finished(
            task=name,
            task_key=key,
            attempt=1,
            state="succeeded",
            result="1",
            error=None,
            at_us=world.now_us(),
        )


def emitted(job: Job) -> Event:
    """The event that a run emits, as flows.emit makes it."""
    key = identity.run_event_id(job.run_id, "", 0, "file.loaded", "file.x")
    return make_event("file.loaded", {"resource.id": "file.x"}, id=key)


class Owner:
    """A worker with one partition, from load to death."""

    def __init__(
        self, world: World, partition: int = 0, *, rows_max: int = 10**9, name: str = "w", turns: int = 2
    ) -> None:
        self.world = world
        self.partition = partition
        self.fence = SimulatedFence(world, partition, rows_max)
        self.runner = SimulatedRunner(world)
        self.queue = RunQueue(turns)
        self.done: set[int] = set()  # offsets that may be committed
        self.engine = RunEngine(
            topics=world.topics,
            codec=world.codec,
            worker=name,
            executor=self.runner,
            flows=self,
            queue=self.queue,
            known_runs=self._known,
            stored_offset=self._stored,
            open_journal=lambda _fence, number: MemoryJournal(world, number),
            limits=world.limits,
            clock=world,
        )
        self.shard = RunShard(partition, self.engine)

    def find(self, flow: str, version: str) -> FlowFile | None:
        return self.world.files.get((flow, version))

    async def available(self, flow: str, version: str) -> bool:
        return (flow, version) in self.world.files

    async def _known(self, ids: Collection[str]) -> Mapping[str, str]:
        if self.world.store_away:
            raise Transport("the store is away")
        return {run_id: log[-1].state for run_id in ids if (log := self.world.run_log(run_id))}

    async def _stored(self, _partition: int) -> int:
        return self.world.stored

    async def load(self) -> None:
        await self.shard.load(self.fence)  # type: ignore[arg-type]

    async def take_in(self) -> Batch:
        """Give the shard everything in `runs` that no owner has finished, as after a start."""
        records = self.world.logs.get((self.world.topics.runs.name, self.partition), [])
        batch = Batch(records, self.done.add)
        await self.shard.handle(batch)
        self.done |= {r.offset for r in records} - batch.deferred
        return batch

    async def live(self, *, until: Callable[[], bool] | None = None, timeout_s: float = 20) -> None:
        """Load, take requests in, go on until nothing is unfinished or the process is dead."""
        try:
            await self.load()
            await self.take_in()
            ready = until or (lambda: not self.world.unfinished())
            async with asyncio.timeout(timeout_s):
                while not self.fence.lost.is_set() and not ready():  # noqa: ASYNC110 - the logs are the event
                    await asyncio.sleep(0)
        except Transport:
            pass
        finally:
            await self.die()

    async def die(self) -> None:
        """End it as `Tenure` does."""
        self.shard.drop()
        for _ in range(5):
            await asyncio.sleep(0)


async def until(ready: Callable[[], bool]) -> None:
    """Wait for something that will be."""
    async with asyncio.timeout(10):
        while not ready():  # noqa: ASYNC110 - the logs are the event
            await asyncio.sleep(0.001)


def states(world: World, run_id: str) -> list[str]:
    """The states that a run went through."""
    return [item.state for item in world.run_log(run_id)]
