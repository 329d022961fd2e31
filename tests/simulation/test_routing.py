"""Router and evaluation under crashes between any two writes; the seed of a failure is in its message."""

import asyncio
import random
from collections import Counter

import pytest

from flows.core import identity
from schemas.record import EventRecord
from streams.router import partition as partition_module
from streams.router.known_ids import KnownIds
from streams.router.partition import PartitionRouter
from tests.simulation.routing_world import (
    Make,
    World,
    candidates,
    fill,
    first_offsets,
    id_of,
    in_force_at,
    marks_of,
    requests,
    run,
    verdicts,
)

pytestmark = pytest.mark.simulation
SEEDS = range(12)
SEEDS_SOAK = range(12, 300)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for a store that comes back at once."""
    monkeypatch.setattr(partition_module, "_RETRY_FIRST_S", 0.0)


def world_of(seed: int, *, crash_every: int = 0, count: int = 120) -> World:
    """A world with events in it, the same for a seed whatever crashes later."""
    world = World(random.Random(seed), crash_every=0)
    fill(world, count)
    world.rng = random.Random(seed + 1000 * crash_every)
    world.crash_every = crash_every
    return world


def firings(world: World) -> set[tuple[str, tuple[str, ...]]]:
    """What fired: (run id, its events)."""
    return {(request.id, request.event_ids) for request in requests(world)}


def problems(world: World) -> list[str]:
    """Everything that contradicts: each event evaluated once per trigger in force, marks first."""
    found = []
    expected = expected_candidates(world)
    seen: dict[tuple[int, int, str], str] = {}
    marked: set[tuple[int, int, int]] = set()  # candidates partition, events partition, triggers offset
    for record, candidate in candidates(world):
        where = (record.partition, candidate.events_partition, candidate.triggers_offset)
        if candidate.kind == "mark":
            marked.add(where)
            continue
        if where not in marked:
            found.append(f"candidate at {record.place} comes before the mark of its definitions")
        key = (candidate.events_partition, candidate.events_offset, candidate.trigger)
        if seen.setdefault(key, candidate.outcome) != candidate.outcome:
            found.append(f"{key} was {seen[key]} and then {candidate.outcome}")
    if seen != expected:
        found.append(f"missing {expected.keys() - seen.keys()}, unexpected {seen.keys() - expected.keys()}")
        found += [
            f"{k}: {seen[k]}, not {expected[k]}"
            for k in seen.keys() & expected.keys()
            if seen[k] != expected[k]
        ]
    return found + contradictions(world)


def expected_candidates(world: World) -> dict[tuple[int, int, str], str]:
    """What the marks say should have been routed, and with which outcome."""
    first = first_offsets(world)
    expected = {}
    for partition in range(world.partitions):
        marks = marks_of(world, partition)
        for record in world.log(world.topics.events, partition):
            if not id_of(record):
                continue
            index = world.definitions.in_force(in_force_at(marks, record.offset))
            event = world.codec.decode(record.value or b"", EventRecord)
            for trigger, _ in index.candidates(event):
                outcome = "new" if first[event.id] == record.offset else "duplicate"
                expected[partition, record.offset, trigger.name] = outcome
    return expected


def contradictions(world: World) -> list[str]:
    """Ids that were written with different contents, and events that counted twice for a trigger."""
    contents: dict[str, set[object]] = {}
    # The third delivery of an event gets the verdict of the second: one row, whichever it tells of.
    told = (verdict for verdict in verdicts(world) if verdict.verdict != "duplicate")
    for item in (*told, *requests(world)):
        contents.setdefault(item.id, set()).add(item)
    found = [f"{number} means {items}" for number, items in contents.items() if len(items) > 1]
    used = Counter((r.trigger, e) for r in {r.id: r for r in requests(world)}.values() for e in r.event_ids)
    return found + [f"{event} fired {trigger} {n} times" for (trigger, event), n in used.items() if n > 1]


@pytest.mark.parametrize("seed", SEEDS)
async def test_crashes_change_nothing_that_fires(seed: int) -> None:
    """Killed between any two writes, router and evaluator fire exactly what they fire undisturbed."""
    await compare(seed)


@pytest.mark.soak
@pytest.mark.timeout(1200)
async def test_crashes_change_nothing_over_many_seeds() -> None:
    """The same over many seeds, and with definitions that change meanwhile."""
    for seed in SEEDS_SOAK:
        await compare(seed)
        world = world_of(seed, crash_every=9)
        await run(world, changes=0.1)
        assert problems(world) == [], f"seed {seed}"


async def compare(seed: int) -> None:
    """Run one seed undisturbed and killed, and compare."""
    calm, killed = world_of(seed), world_of(seed, crash_every=9)
    await run(calm)
    await run(killed)
    assert sum(killed.crashes.values()) > 1, f"seed {seed} crashed nothing"
    assert problems(calm) == []
    assert problems(killed) == [], f"seed {seed}"
    assert firings(killed) == firings(calm), f"seed {seed}"
    letters = [r.key for r in killed.all(killed.topics.dead_letters)]
    assert set(letters) == {r.key for r in calm.all(calm.topics.dead_letters)}


@pytest.mark.parametrize("seed", SEEDS)
async def test_definitions_may_change_at_any_moment(seed: int) -> None:
    """Each event is evaluated once by each trigger that its marks say was in force, whatever crashes."""
    world = world_of(seed, crash_every=9)
    await run(world, changes=0.1)
    assert problems(world) == [], f"seed {seed}"


class _Forgetful(KnownIds):
    """A window that has seen nothing and asks nobody."""

    def turn(self, offset: int, log_ms: int) -> None:
        self.young, self.old = set(), set()

    def must_ask(self, id_text: str, log_ms: int) -> bool:
        return False


async def contradicts(*, changes: float = 0.0, crash_every: int = 0, make: Make = PartitionRouter) -> bool:
    """Whether some seed shows a contradiction."""
    for seed in SEEDS:
        world = world_of(seed, crash_every=crash_every)
        await run(world, changes=changes, make=make)
        if problems(world):
            return True
    return False


async def test_without_deduplication_it_is_seen_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the router's window off, a retried POST is evaluated as a second event."""
    monkeypatch.setattr(partition_module, "KnownIds", _Forgetful)
    assert await contradicts()


async def test_without_asking_the_store_it_is_seen_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """An id older than the window is taken for new when the store is not asked."""
    monkeypatch.setattr(KnownIds, "must_ask", lambda *_: False)
    assert await contradicts()


async def test_without_the_horizon_it_is_seen_to_fail() -> None:
    """A new owner that changes definitions where the former one may have routed contradicts its marks."""

    class Hasty(PartitionRouter):
        async def recover(self) -> int:
            start = await super().recover()
            self._horizon = 0
            return start

    assert await contradicts(changes=0.2, crash_every=9, make=Hasty)


async def test_without_the_routed_places_it_is_seen_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A candidate that a restarted router writes again counts twice when its place is not remembered."""
    monkeypatch.setattr("streams.agents.evaluate_fold.Fold._came_before", lambda *_: False)
    differs = []
    for seed in SEEDS:
        calm, killed = world_of(seed), world_of(seed, crash_every=9)
        await run(calm)
        await run(killed)
        differs.append(firings(calm) != firings(killed))
        if differs[-1]:
            break
    assert any(differs)


async def test_with_random_run_ids_it_is_seen_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash between request and state makes a second run when run ids are drawn and not derived."""
    drawn = random.Random(1)
    monkeypatch.setattr(identity, "run_id", lambda *_: f"{drawn.getrandbits(128):036x}")
    doubles = []
    for seed in SEEDS:
        world = world_of(seed, crash_every=9)
        await run(world)
        per_firing = Counter(r.firing_id for r in {r.id: r for r in requests(world)}.values())
        doubles.append(max(per_firing.values()))
        if doubles[-1] > 1:
            break
    assert max(doubles) > 1


def test_the_simulation_is_the_same_for_a_seed() -> None:
    """One seed gives one history, so that a failure can be looked at again."""
    histories = []
    for _ in range(2):
        world = world_of(7, crash_every=9)
        asyncio.run(run(world, changes=0.1))
        histories.append(world.logs)
    assert histories[0] == histories[1]
