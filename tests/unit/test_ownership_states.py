"""The owner's state machine with a group, a reader and fences in memory."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from streams.agents.ownership import Ownership
from streams.agents.shard import Assignment, Batch, Delivery, OwnerState, Role, assignment
from streams.errors import Fenced, Overload, Transport
from streams.kafka.log_record import LogRecord

pytestmark = pytest.mark.unit
TOPIC = "runs"


class Fence:
    def __init__(self, lost: Callable[[Transport], None]) -> None:
        self.lost, self.opened, self.closed = lost, False, False

    def open(self) -> None:
        self.opened = True

    def close(self) -> None:
        self.closed = True


class Group:
    def __init__(self) -> None:
        self.holds = True
        self.offsets: dict[tuple[str, int], int] = {}

    async def still_holds(self, topic: str, partition: int) -> bool:
        return self.holds

    async def committed(self, topic: str, partition: int) -> int | None:
        return self.offsets.get((topic, partition))

    async def commit(self, offsets) -> bool:
        self.offsets.update(offsets)
        return True


class Reader:
    def __init__(self) -> None:
        self.sinks: dict[int, Callable[[Sequence[LogRecord]], None]] = {}
        self.starts: list[tuple[int, int]] = []
        self.credit = 0

    def start(self, topic, partition, offset, sink) -> None:
        self.sinks[partition] = sink
        self.starts.append((partition, offset))

    def stop(self, topic: str, partition: int) -> None:
        self.sinks.pop(partition, None)

    def taken(self, topic: str, partition: int, count: int) -> None:
        self.credit += count


class Shard:
    def __init__(self) -> None:
        self.handled: list[int] = []
        self.refused: list[int] = []
        self.dropped = 0
        self.fail: Callable[[Sequence[LogRecord]], None] = lambda records: None

    async def load(self, fence) -> None:
        assert fence.opened, "the fence stands before the logs are read"

    async def handle(self, batch: Batch) -> None:
        self.fail(batch.records)
        self.handled += [r.offset for r in batch.records]

    async def refuse(self, record: LogRecord, error: Exception) -> None:
        self.refused.append(record.offset)

    def drop(self) -> None:
        self.dropped += 1


class World:
    def __init__(self) -> None:
        self.group, self.reader = Group(), Reader()
        self.fences: dict[int, list[Fence]] = {}
        self.shards: dict[int, list[Shard]] = {}
        self.next_fail: Callable[[Sequence[LogRecord]], None] = lambda records: None
        self.ownership = Ownership(
            Role(name="run", topic=TOPIC, batch_max=4),
            group=self.group,
            reader=self.reader,
            open_fence=self._fence,
            shards=self._shard,
            deliver=lambda delivery: delivery.accept(delivery.records),
            commit_every_s=0.01,
        )

    def _fence(self, partition, lost):
        self.fences.setdefault(partition, []).append(Fence(lost))
        return self.fences[partition][-1]

    def _shard(self, partition):
        shard = Shard()
        shard.fail = self.next_fail
        self.shards.setdefault(partition, []).append(shard)
        return shard

    def assign(self, generation: int, *partitions: int, member: str = "m") -> None:
        self.ownership.assigned(assignment(generation, member, [(TOPIC, p) for p in partitions]))

    async def until(self, true: Callable[[], bool]) -> None:
        for _ in range(500):
            if true():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"still {self.ownership.states}")

    async def active(self, *partitions: int) -> None:
        await self.until(lambda: all(self.ownership.states.get(p) is OwnerState.ACTIVE for p in partitions))

    def arrive(self, partition: int, *offsets: int) -> None:
        self.reader.sinks[partition](
            [LogRecord(TOPIC, partition, offset, 0, b"k", b"v", ()) for offset in offsets]
        )


@pytest.fixture
async def world():
    made = World()
    yield made
    await made.ownership.stop()


async def test_a_partition_is_read_from_the_committed_offset_once_its_fence_stands(world):
    """Fence, load, then records from where the group stands."""
    world.group.offsets[TOPIC, 3] = 17
    world.assign(1, 3)
    await world.active(3)
    assert world.reader.starts == [(3, 17)]


async def test_finished_offsets_are_committed_over_gaps(world):
    """Offsets with gaps are handled in order and committed behind the last one; credit comes back."""
    world.assign(1, 0)
    await world.active(0)
    world.arrive(0, 0, 1, 5, 9, 10, 12)
    await world.until(lambda: world.group.offsets.get((TOPIC, 0)) == 13)
    assert world.shards[0][0].handled == [0, 1, 5, 9, 10, 12]
    assert world.reader.credit == 6


async def test_what_is_held_without_a_break_is_kept_over_a_rebalance(world):
    """The next generation with the same member keeps its partitions: no new fence, no second load."""
    world.assign(1, 0, 1)
    await world.active(0, 1)
    world.assign(2, 1, 2)
    await world.active(1, 2)
    assert len(world.shards[1]) == 1
    assert world.shards[0][0].dropped == 1


@pytest.mark.parametrize("missed", [{"generation": 3}, {"generation": 2, "member": "other"}])
async def test_a_member_that_missed_a_generation_takes_everything_anew(world, missed):
    """Somebody else may have held the partition in between, so it is dropped and loaded again."""
    world.assign(1, 0)
    await world.active(0)
    world.assign(missed["generation"], 0, member=missed.get("member", "m"))
    await world.until(lambda: len(world.shards[0]) == 2)
    await world.active(0)
    assert world.shards[0][0].dropped == 1


async def test_a_fenced_owner_drops_at_once_and_takes_again_only_if_still_assigned(world):
    """A stale owner stays away; one that the group still knows takes the partition back."""
    world.assign(1, 0)
    await world.active(0)
    world.group.holds = False
    world.fences[0][0].lost(Fenced("a newer owner"))
    await world.until(lambda: world.shards[0][0].dropped == 1)
    await asyncio.sleep(1.2)
    assert len(world.shards[0]) == 1, "a stale owner does not take it back"
    assert world.ownership.states[0] is OwnerState.LOST
    world.group.holds = True
    await world.until(lambda: len(world.shards[0]) == 2)
    await world.active(0)


async def test_one_bad_record_is_refused_and_its_neighbours_are_handled(world):
    """An error of handle is narrowed down to the record that causes it."""

    def fail(records):
        if any(r.offset == 2 for r in records):
            raise ValueError("two")

    world.next_fail = fail
    world.assign(1, 0)
    await world.active(0)
    world.arrive(0, 0, 1, 2, 3)
    await world.until(lambda: world.group.offsets.get((TOPIC, 0)) == 4)
    assert world.shards[0][0].refused == [2]
    assert world.shards[0][0].handled == [0, 1, 3]


async def test_overload_is_waited_out_and_transport_drops_the_tenure(world):
    """Overload tries the same batch again; Transport loses the partition, which is then taken again."""
    errors = [Overload("full", retry_after_s=0.01), Transport("unknown outcome")]

    def fail(records):
        if errors:
            raise errors.pop(0)

    world.next_fail = fail
    world.assign(1, 0)
    await world.active(0)
    world.arrive(0, 0)
    await world.until(lambda: len(world.shards[0]) == 2)
    assert world.shards[0][0].handled == []
    await world.active(0)
    assert world.reader.starts[-1] == (0, 0), "nothing was committed, so it is read again"


async def test_a_deferred_record_holds_the_commit_back(world):
    """What is deferred stays uncommitted until it is finished, whatever comes behind it."""
    finish: list[Callable[[], None]] = []
    world.assign(1, 0)
    await world.active(0)
    shard = world.shards[0][0]

    async def handle(batch: Batch) -> None:
        finish.extend(batch.defer(r.offset) for r in batch.records if r.offset == 1)

    shard.handle = handle
    world.arrive(0, 0, 1, 2)
    await world.until(lambda: world.group.offsets.get((TOPIC, 0)) == 1)
    await asyncio.sleep(0.05)
    assert world.group.offsets[TOPIC, 0] == 1
    finish[0]()
    await world.until(lambda: world.group.offsets.get((TOPIC, 0)) == 3)


async def test_stopping_gives_every_fence_back(world):
    """After stop nothing is held and every fence is closed."""
    world.assign(1, 0, 1)
    await world.active(0, 1)
    await world.ownership.stop()
    assert all(fence.closed for fences in world.fences.values() for fence in fences)
    assert world.reader.sinks == {}


def test_an_assignment_follows_only_its_own_predecessor():
    """Same member, next generation: nothing else proves that nobody held it in between."""
    first = Assignment(generation=4, member="a")
    assert Assignment(generation=5, member="a").follows(first)
    assert not Assignment(generation=5, member="b").follows(first)
    assert not Assignment(generation=6, member="a").follows(first)
    assert not first.follows(None)


def test_a_delivery_is_nothing_but_a_call():
    """What passes through the agent carries its own receiver."""
    got: list[LogRecord] = []
    record = LogRecord(TOPIC, 0, 1, 0, None, None, ())
    Delivery(got.extend, [record]).accept([record])
    assert got == [record]
