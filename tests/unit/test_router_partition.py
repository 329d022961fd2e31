"""One partition's routing: poison, waiting, marks, bounds."""

import asyncio
import random

import pytest

from schemas.record import DeadLetter, EventRecord
from streams.errors import Fenced, Transport
from streams.router import partition as partition_module
from streams.router.health import PartitionHealth
from streams.router.partition import PartitionRouter, RouterLimits
from tests.simulation.routing_world import LIMITS, SimulatedFence, World, candidates, event, fill, marks_of

pytestmark = pytest.mark.unit


def world_with(*names: str, resource: str = "r", labels: str | None = None) -> World:
    """A world of one partition with events of these names in it."""
    world = World(random.Random(1), partitions=1)
    for number, name in enumerate(names):
        record = event(world, number, name, resource)
        if labels is not None:
            record = EventRecord(**{**{f: getattr(record, f) for f in record.__slots__}, "resource": labels})
        world.append(world.topics.events.name, 0, b"r", world.codec.encode(record))
    return world


def router_of(world: World, *, limits: RouterLimits = LIMITS, fence: object = None) -> PartitionRouter:
    """A router of the world's only partition."""
    return PartitionRouter(
        0,
        topics=world.topics,
        codec=world.codec,
        writer=fence or SimulatedFence(world, "router.0"),  # type: ignore[arg-type]
        logs=world,
        definitions=world.definitions,
        known_events=world,
        clock=world,
        health=PartitionHealth(partition=0),
        limits=limits,
    )


async def routed(world: World, **how: object) -> PartitionRouter:
    """Recover and route everything."""
    router = router_of(world, **how)  # type: ignore[arg-type]
    start = await router.recover()
    await router.route([r for r in world.log(world.topics.events, 0) if r.offset >= start])
    await router.progress.settle()
    return router


def letters(world: World) -> list[DeadLetter]:
    """The dead letters written."""
    return [world.codec.decode(r.value or b"", DeadLetter) for r in world.all(world.topics.dead_letters)]


async def test_the_first_mark_comes_before_the_first_candidate() -> None:
    """On start a mark goes into every candidates partition before anything else does."""
    world = world_with("a", "a")
    await routed(world)
    kinds = [candidate.kind for _, candidate in candidates(world)]
    assert kinds[0] == "mark"
    assert kinds.count("candidate") == 3 - 1 + 2  # each and pair, twice


async def test_what_lies_beyond_a_mark_is_bounded() -> None:
    """No candidate is written further beyond the newest acknowledged mark than `ahead_max` offsets."""
    world = World(random.Random(3), partitions=1)
    fill(world, 200)
    await routed(world)
    newest = 0
    for _, candidate in candidates(world):
        if candidate.kind == "mark":
            newest = candidate.events_offset
        assert candidate.events_offset < newest + LIMITS.ahead_max


async def test_poison_is_a_dead_letter_and_the_rest_is_routed() -> None:
    """Bytes that cannot be decoded, labels that are no JSON: dead letters with their bytes and place."""
    world = world_with("a")
    good = world.log(world.topics.events, 0)[0].value or b""
    world.append(world.topics.events.name, 0, b"r", good[:-30])
    world.append(world.topics.events.name, 0, b"r", b"?")
    await routed(world)
    assert [letter.stage for letter in letters(world)] == ["router", "router"]
    assert {letter.raw for letter in letters(world)} == {good[:-30], b"?"}
    places = [r.offset for r in world.log(world.topics.events, 0)][1:]
    assert sorted(letter.from_offset or -1 for letter in letters(world)) == places
    assert len([c for _, c in candidates(world) if c.kind == "candidate"]) == 2


@pytest.mark.parametrize("size", [1, 2, 9])
async def test_a_corrected_event_follows_the_unusable_one(size: int) -> None:
    """An id whose bytes were of no use is free again: in the same batch, later, and after a restart."""
    world = world_with("b", "a")
    good = world.log(world.topics.events, 0)[1].value or b""
    del world.log(world.topics.events, 0)[1]
    for value in (good[:-30], good[:-20], good, good[:-10], good):
        world.append(world.topics.events.name, 0, b"r", value)
    records = world.log(world.topics.events, 0)
    whole = router_of(world)
    await whole.recover()
    for at in range(0, len(records), size):
        await whole.route(records[at : at + size])
    await whole.progress.settle()
    assert [c.outcome for _, c in candidates(world) if c.trigger == "each"] == ["new", "duplicate"]

    restarted = world_with("b")
    restarted.log(restarted.topics.events, 0)[:] = records[:2]
    first = await routed(restarted)
    await first.keep_up()
    restarted.now_ms += 5000
    await first.keep_up()
    assert marks_of(restarted, 0)[-1].events_offset == records[1].offset + 1
    restarted.log(restarted.topics.events, 0)[:] = records
    await routed(restarted)
    assert [c.outcome for _, c in candidates(restarted) if c.trigger == "each"] == ["new", "duplicate"]


@pytest.mark.parametrize(
    "labels", ["not json", '"text"', "[1]", '{"resource.id": 5}', '{"resource.id":"\\ud800"}']
)
async def test_labels_that_are_none_keep_nobody_waiting(labels: str) -> None:
    """Labels that are no JSON object of text, half a character in the group key: at worst a dead letter."""
    world = world_with("a", labels=labels)
    number = event(world, 9, "a", "r")
    world.append(world.topics.events.name, 0, b"r", world.codec.encode(number))
    await routed(world)
    found = [c for _, c in candidates(world) if c.kind == "candidate" and c.event_id == number.id]
    assert {c.trigger for c in found} == {"each", "pair"}
    assert all(letter.error for letter in letters(world))


async def test_an_event_too_large_for_a_run_request_is_a_dead_letter() -> None:
    """What neither state nor run request could carry is refused where it enters."""
    world = world_with("a")
    record = event(world, 1, "a", "r")
    huge = EventRecord(
        **{**{f: getattr(record, f) for f in record.__slots__}, "payload": '{"x":"' + "y" * (4 << 20) + '"}'}
    )
    world.append(world.topics.events.name, 0, b"r", world.codec.encode(huge))
    await routed(world)
    assert [letter.reason for letter in letters(world)] == ["too_large"]


class _Unreachable(World):
    """A world whose store is away until it is told to come back."""

    store_back = False

    async def earlier(self, ids: object, *, partition: int, before: int) -> set[str]:
        if not self.store_back:
            raise Transport("the store is away")
        return set(await super().earlier(ids, partition=partition, before=before))  # type: ignore[arg-type]


async def test_without_the_store_it_waits_and_never_guesses(monkeypatch: pytest.MonkeyPatch) -> None:
    """An id that only the store can know keeps its partition waiting, and health says for whom."""
    monkeypatch.setattr(partition_module, "_RETRY_FIRST_S", 0.001)
    world = _Unreachable(random.Random(2), partitions=1)
    fill(world, 150, poison=0)
    world.rng = random.Random(3)
    router = router_of(world)
    await router.recover()
    task = asyncio.create_task(router.route(world.log(world.topics.events, 0)))
    await asyncio.sleep(0.2)
    assert not task.done()
    assert router._health.waiting_for == "the store"
    written = len([c for _, c in candidates(world) if c.kind == "candidate"])
    world.store_back = True
    await task
    await router.progress.settle()
    assert router._health.waiting_for == ""
    assert len([c for _, c in candidates(world) if c.kind == "candidate"]) > written


async def test_a_fenced_owner_stops() -> None:
    """Once another owner has the partition, the next step raises Fenced and writes nothing."""
    world = world_with("a", "a", "a")
    fence = SimulatedFence(world, "router.0")
    router = router_of(world, fence=fence)
    await router.recover()
    records = world.log(world.topics.events, 0)
    await router.route(records[:1])
    await router.progress.settle()
    SimulatedFence(world, "router.0")
    before = len(candidates(world))
    with pytest.raises(Fenced):
        await routed_on(router, records[1:])
    assert len(candidates(world)) == before


async def routed_on(router: PartitionRouter, records: list[object]) -> None:
    """Route on and wait for the acknowledgement."""
    await router.route(records)  # type: ignore[arg-type]
    await router.progress.settle()


async def test_new_definitions_are_marked_before_they_are_used() -> None:
    """A candidate under new definitions stands after the mark that names them, in its own partition."""
    world = world_with("a", "a", "b", "b")
    router = router_of(world)
    await router.recover()
    records = world.log(world.topics.events, 0)
    await router.route(records[:2])
    world.definitions.position = 5
    await router.route(records[2:])
    await router.progress.settle()
    assert [mark.triggers_offset for mark in marks_of(world, 0)] == sorted(
        mark.triggers_offset for mark in marks_of(world, 0)
    )
    order = [(c.kind, c.triggers_offset) for _, c in candidates(world)]
    assert order.index(("mark", 5)) < order.index(("candidate", 5))


async def test_an_idle_partition_is_marked_now_and_then() -> None:
    """Retention must not take the newest mark of a partition without events."""
    world = world_with("a")
    router = await routed(world)
    before = len(marks_of(world, 0))
    world.now_ms += 3_700_000
    await router.keep_up()
    assert len(marks_of(world, 0)) == before + 1
