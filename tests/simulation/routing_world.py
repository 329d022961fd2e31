"""A world of logs in memory; routers and evaluators are killed in it between any two writes, by one seed."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from flows.core.index import TriggerIndex
from flows.core.predicate import Pattern
from flows.core.trigger import Trigger
from schemas.codec import Codec, UndecodableError, fixed_codec, peek
from schemas.identity import derived_id
from schemas.record import Candidate, EventRecord, RunRequest, Verdict
from schemas.shard import shard
from schemas.topics import Topic, topics
from streams.agents.evaluate import EvaluateShard
from streams.agents.shard import Batch
from streams.errors import Fenced, Transport
from streams.kafka.fenced import Row
from streams.kafka.log_record import LogRecord
from streams.router.health import PartitionHealth
from streams.router.logs import read_mark
from streams.router.partition import PartitionRouter, RouterLimits
from streams.router.ports import Mark, Stored
from streams.router.rows import mark_partition

START_MS = 1_763_000_000_000
MINUTE_MS = 60_000
LIMITS = RouterLimits(ids_max=24, ahead_max=15, mark_every_s=1.0)


@dataclass
class World:
    """Logs, fences, definitions and a store, all in memory."""

    rng: random.Random
    partitions: int = 2
    crash_every: int = 0  # writes between crashes, on average; 0 for never
    logs: dict[tuple[str, int], list[LogRecord]] = field(default_factory=dict)
    now_ms: int = START_MS
    codec: Codec = field(default_factory=fixed_codec)
    crashes: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.topics = topics("sim.", self.partitions)
        self.epochs: Counter[str] = Counter()
        self.definitions = SimulatedDefinitions()
        self.committed: Counter[int] = Counter()

    def log(self, topic: Topic, partition: int) -> list[LogRecord]:
        """The records of one partition."""
        return self.logs.setdefault((topic.name, partition), [])

    def all(self, topic: Topic) -> list[LogRecord]:
        """The records of all partitions, one after the other."""
        return [record for partition in range(topic.partitions) for record in self.log(topic, partition)]

    def append(self, name: str, partition: int, key: bytes | None, value: bytes | None) -> int:
        """Write one record; offsets have gaps now and then, as markers leave them."""
        log = self.logs.setdefault((name, partition), [])
        offset = (log[-1].offset + 1 if log else 0) + (self.rng.random() < 0.1)
        log.append(LogRecord(name, partition, offset, self.now_ms, key, value, ()))
        return offset

    # The ports of the router.

    def now_us(self) -> int:
        return self.now_ms * 1000

    def monotonic_s(self) -> float:
        self.now_ms += 150
        return self.now_ms / 1000

    async def bounds(self, partition: int) -> tuple[int, int]:
        log = self.log(self.topics.events, partition)
        return 0, log[-1].offset + 1 if log else 0

    async def newest_mark(self, partition: int) -> Mark | None:
        place = mark_partition(partition, self.topics.candidates.partitions)
        marks = (
            read_mark(self.codec, r.value, partition)
            for r in reversed(self.log(self.topics.candidates, place))
        )
        return next((mark for mark in marks if mark is not None), None)

    async def replay(
        self, partition: int, start: int, end: int, take: Callable[[Sequence[Stored]], None]
    ) -> None:
        records = [r for r in self.log(self.topics.events, partition) if start <= r.offset < end]
        for at in range(0, len(records), 5):
            take(records[at : at + 5])

    async def earlier(self, ids: Collection[str], *, partition: int, before: int) -> Collection[str]:
        if self.rng.random() < 0.2:
            raise Transport("the store is away")
        return {
            event_id
            for record in self.log(self.topics.events, partition)
            if record.offset < before and (event_id := id_of(record)) in ids
        }


class WorldStates:
    """A partition of `state` in the world: the newest row of every key."""

    def __init__(self, world: "World", partition: int) -> None:
        self._world = world
        self._partition = partition
        self.rows: dict[bytes, bytes] = {}

    def load(self) -> None:
        """Read the log to its end."""
        for record in self._world.log(self._world.topics.state, self._partition):
            self.rows[record.key or b""] = record.value or b""

    def stage(self, key: bytes, value: bytes | None) -> Row:
        """Change the map and return the row."""
        self.rows[key] = value or b""
        return Row(self._world.topics.state.name, self._partition, key, value)

    def snapshot_if_due(self) -> None:
        """The world's logs stay short."""

    def close(self) -> None:
        """Nothing is under way."""


class SimulatedFence:
    """A fenced producer that is killed after some write, acknowledged or not."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name
        world.epochs[name] += 1
        self._epoch = world.epochs[name]
        self._lost = False

    def write(self, rows: Sequence[Row]) -> "Future[list[int]]":
        """Append row by row; a crash leaves what was written and acknowledges nothing."""
        future: Future[list[int]] = Future()
        offsets = []
        for topic, partition, key, value, _ in rows:
            if self._lost or self._world.epochs[self._name] != self._epoch:
                self._lost = True
                future.set_exception(Fenced(f"{self._name} was shut out"))
                return future
            offsets.append(self._world.append(topic, partition, key, value))
            every = self._world.crash_every
            if every and self._world.rng.random() < 1 / every:
                self._world.crashes[self._name.partition(".")[0]] += 1
                self._lost = True
        if self._lost:
            future.set_exception(Fenced(f"{self._name} was killed"))
        else:
            future.set_result(offsets)
        return future


class SimulatedDefinitions:
    """A triggers log whose records become visible one by one."""

    def __init__(self) -> None:
        self.log: list[tuple[str, Trigger | None]] = [
            ("each", trigger("each", "a")),
            ("pair", trigger("pair", "a", threshold=2, for_each=("resource.id",))),
            ("any", trigger("any", "*")),
            ("each", None),
            ("late", trigger("late", "b")),
            ("each", trigger("each", "b")),
            ("pair", trigger("pair", "a", "b", threshold=3, for_each=("resource.id",))),
        ]
        self.position = 2
        self._compiled: dict[int, TriggerIndex] = {}

    async def reached(self, triggers_offset: int) -> None:
        assert triggers_offset <= self.position

    def in_force(self, triggers_offset: int) -> TriggerIndex:
        assert triggers_offset <= self.position
        if triggers_offset not in self._compiled:
            last = dict(self.log[:triggers_offset])
            triggers = [t for t in last.values() if t is not None]
            self._compiled[triggers_offset] = TriggerIndex.compile(triggers)
        return self._compiled[triggers_offset]


def trigger(
    name: str, *expect: str, threshold: int = 1, for_each: tuple[str, ...] = (), flow: str = "flow"
) -> Trigger:
    """A trigger of the simulation."""
    patterns = tuple(Pattern(text) for text in expect)
    parameters = {"which": "{{ event.resource_id }}", "count": "{{ firing.count }}"}
    return Trigger(
        name=name, flow=flow, expect=patterns, threshold=threshold, for_each=for_each, parameters=parameters
    )


def id_of(record: LogRecord) -> str:
    """The id of an event, empty for bytes that are none."""
    try:
        return peek(record.value or b"")[0]
    except UndecodableError:
        return ""


def fill(world: World, count: int, *, duplicates: float = 0.2, poison: float = 0.05) -> None:
    """Write events: some twice (a retried POST), some unreadable, with and without a time in their ids."""
    rng, sent = world.rng, {partition: [] for partition in range(world.partitions)}
    for number in range(count):
        world.now_ms += rng.randrange(2 * MINUTE_MS)
        resource = f"r{rng.randrange(5)}"
        partition = shard(resource, world.partitions)
        if rng.random() < poison:
            value = rng.randbytes(rng.randrange(60))
        elif sent[partition] and rng.random() < duplicates:
            value = rng.choice(sent[partition])
        else:
            value = world.codec.encode(event(world, number, rng.choice("abcd"), resource))
            sent[partition].append(value)
        world.append(world.topics.events.name, partition, resource.encode(), value)


def event(world: World, number: int, name: str, resource: str) -> EventRecord:
    """An event; every other one carries no time in its id, so only the store can say that it is old."""
    number_id = derived_id("simulated", number, ms=world.now_ms if number % 2 else 0)
    return EventRecord(
        id=number_id,
        event=name,
        resource_id=resource,
        occurred=world.now_us(),
        received=world.now_us(),
        resource=f'{{"resource.id":"{resource}"}}',
        related="[]",
        payload="{}",
        source="",
        causation_id=None,
        correlation_id=number_id,
        follows=None,
        replay_of=None,
    )


Make = Callable[..., PartitionRouter]


async def route(world: World, partition: int, *, changes: float = 0.0, make: Make = PartitionRouter) -> None:
    """Route a partition to its end, in as many tenures as it takes."""
    while True:
        router = make(
            partition,
            topics=world.topics,
            codec=world.codec,
            writer=SimulatedFence(world, f"router.{partition}"),
            logs=world,
            definitions=world.definitions,
            known_events=world,
            clock=world,
            health=PartitionHealth(partition=partition),
            limits=LIMITS,
        )
        try:
            start = await router.recover()
            records = [r for r in world.log(world.topics.events, partition) if r.offset >= start]
            while records:
                count = world.rng.randint(1, 6)
                await router.route(records[:count])
                records = records[count:]
                if world.rng.random() < changes:
                    world.definitions.position = min(
                        world.definitions.position + 1, len(world.definitions.log)
                    )
                await asyncio.sleep(0)
            await router.progress.settle()
        except Fenced:
            continue
        else:
            return


async def evaluate(world: World, partition: int) -> None:
    """Evaluate a candidates partition to its end, in as many tenures as it takes."""
    while True:
        owner = EvaluateShard(
            partition,
            topics=world.topics,
            codec=world.codec,
            definitions=world.definitions,
            open_states=lambda fence, p: WorldStates(world, p),
        )
        try:
            await owner.load(SimulatedFence(world, f"evaluate.{partition}"))  # type: ignore[arg-type]
            start = world.committed[partition]
            records = [r for r in world.log(world.topics.candidates, partition) if r.offset >= start]
            while records:
                count = world.rng.randint(1, 6)
                batch, records = records[:count], records[count:]
                await owner.handle(Batch(batch, lambda _offset: None))
                if world.rng.random() < 0.5:
                    world.committed[partition] = batch[-1].offset + 1
        except Fenced:
            continue
        else:
            return


async def run(world: World, *, changes: float = 0.0, make: Make = PartitionRouter) -> None:
    """Route everything, then evaluate everything."""
    await asyncio.gather(*(route(world, p, changes=changes, make=make) for p in range(world.partitions)))
    for partition in range(world.partitions):
        await evaluate(world, partition)


# What can be said of a world afterwards.


def candidates(world: World) -> list[tuple[LogRecord, Candidate]]:
    """All records of the candidates log, marks included, decoded."""
    return [(r, world.codec.decode(r.value or b"", Candidate)) for r in world.all(world.topics.candidates)]


def verdicts(world: World) -> list[Verdict]:
    """All verdicts written, repeated ones included."""
    return [world.codec.decode(r.value or b"", Verdict) for r in world.all(world.topics.verdicts)]


def requests(world: World) -> list[RunRequest]:
    """All run requests written, repeated ones included."""
    return [world.codec.decode(r.value or b"", RunRequest) for r in world.all(world.topics.runs)]


def first_offsets(world: World) -> dict[str, int]:
    """Where each event stands first."""
    found: dict[str, int] = {}
    for partition in range(world.partitions):
        for record in world.log(world.topics.events, partition):
            found.setdefault(id_of(record), record.offset)
    return found


def in_force_at(marks: Sequence[Mark], offset: int) -> int:
    """The triggers offset that the marks name for an event: the newest at or below its offset."""
    return max(mark.triggers_offset for mark in marks if mark.events_offset <= offset)


def marks_of(world: World, partition: int) -> list[Mark]:
    """All marks of an events partition, in log order."""
    place = mark_partition(partition, world.topics.candidates.partitions)
    found = (read_mark(world.codec, r.value, partition) for r in world.log(world.topics.candidates, place))
    return [mark for mark in found if mark is not None]
