"""Owners of runs die after every single row they write; what they promised stays true."""

import asyncio
import contextlib
import random

import pytest

from schemas.codec import peek
from schemas.record import RunLog, RunRequest
from streams.errors import Transport
from tests.simulation.runs_world import TASKS, Owner, World

pytestmark = pytest.mark.simulation


def check(world: World, request: RunRequest, *, lingering: bool = False) -> None:
    """Compare what the logs say of a run that has ended with what was promised.

    A former owner that lingers may execute a task (nothing outside can be fenced), but journals nothing.
    """
    log = world.run_log(request.id)
    ends = [item for item in log if item.state in {"succeeded", "failed", "timed_out"}]
    assert ends
    assert len(set(ends)) == 1, "one end, told the same way by everyone"
    assert log.index(ends[0]) > max(i for i, item in enumerate(log) if item.state == "running") - 1
    mine = [event for event in world.events() if event.causation_id == request.id]
    assert len({event.id for event in mine if event.event == "file.loaded"}) == 1
    ended = {event for event in mine if event.event.startswith("ensue.run.")}
    assert [event.event for event in ended] == [f"ensue.run.{ends[0].state}"]
    assert lingering or not world.again, "a task whose end is journaled never runs again"
    finished = {item.task_key for item in world.task_log(request.id) if item.state == "succeeded"}
    assert finished == set(TASKS)


async def rows_of_a_quiet_life() -> int:
    """How many rows a run writes when nothing happens."""
    world = World()
    request = world.request(1)
    owner = Owner(world)
    await owner.live()
    check(world, request)
    assert world.executed == {(request.id, key): 1 for key in TASKS}
    return owner.fence.rows


async def test_a_death_after_any_row_changes_nothing() -> None:
    """Whichever row was its owner's last, the run ends once, its tasks and its event are not repeated."""
    rows = await rows_of_a_quiet_life()
    assert rows > 15
    for last in range(rows):
        world = World()
        request = world.request(1)
        # Each life would end the run otherwise: only what was decided first may count.
        world.script = lambda _job: "failed"
        await Owner(world, rows_max=last, name="first").live()
        world.script = lambda _job: "succeeded"
        await Owner(world, name="second").live()
        check(world, request)
        assert not world.unfinished()


async def test_two_deaths_change_nothing_either() -> None:
    """The same with a second owner that dies after any of its rows."""
    rows = await rows_of_a_quiet_life()
    for first in range(0, rows, 3):
        for second in range(1, rows + 3, 2):
            world = World()
            request = world.request(1)
            world.script = lambda _job: "failed"
            await Owner(world, rows_max=first, name="first").live()
            world.script = lambda _job: "timed_out"
            await Owner(world, rows_max=second, name="second").live()
            world.script = lambda _job: "succeeded"
            await Owner(world, name="third").live()
            check(world, request)


@pytest.mark.parametrize("seed", range(12))
async def test_owners_come_go_and_linger(seed: int) -> None:
    """Many runs, owners that die anywhere, and former owners that live on without knowing better."""
    await come_go_and_linger(seed)


async def come_go_and_linger(seed: int, *, timeout_s: float = 20) -> None:
    """Let owners come and go as `seed` says, then check every run."""
    dice = random.Random(seed)
    world = World(partitions=2)
    requests = [world.request(n) for n in range(12)]
    world.script = lambda _job: dice.choice(["succeeded", "failed", "timed_out"])
    world.pause_s = lambda: dice.random() * 0.004
    lingering: list[Owner] = []
    for life in range(8):
        for partition in range(2):
            owner = Owner(world, partition, rows_max=dice.randrange(120), name=f"w{life}", turns=3)
            lingering.append(owner)
            with contextlib.suppress(Transport):
                await owner.load()
                await owner.take_in()
            await asyncio.sleep(dice.random() * 0.01)
            if dice.random() < 0.5:
                await owner.die()
        requests += [world.request(dice.randrange(12)) for _ in range(2)]  # the same again
    for partition in range(2):
        await Owner(world, partition, name="last").live(
            until=lambda p=partition: not ended_by(world, p), timeout_s=timeout_s
        )
    for owner in lingering:
        await owner.die()
    assert not world.unfinished()
    for request in requests:
        check(world, request, lingering=True)
    assert {item.run_id for item in world.records(world.topics.run_log.name, RunLog)} == {
        request.id for request in requests
    }


def ended_by(world: World, partition: int) -> list[bytes]:
    """Keys of runs of a partition that have not ended."""
    rows = world.journal_rows(partition).items()
    return [key for key, value in rows if peek(value)[1] != "ensue.journal.finished"]
