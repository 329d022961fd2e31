"""Each protection of runs turned off: the simulation is seen to find the fault."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from streams.runs import rows as rows_module
from streams.runs import turn as turn_module
from streams.runs.turn import Turn
from tests.simulation import runs_world
from tests.simulation.runs_world import Owner, World
from tests.simulation.test_runs import check, come_go_and_linger, rows_of_a_quiet_life

pytestmark = pytest.mark.simulation
Patch = pytest.MonkeyPatch


async def faults(rows: int) -> int:
    """How many deaths after a row break a promise."""
    found = 0
    for last in range(rows):
        world = World()
        request = world.request(1)
        world.script = lambda _job: "failed"
        await Owner(world, rows_max=last, name="first").live()
        world.script = lambda _job: "succeeded"
        await Owner(world, name="second").live()
        try:
            check(world, request)
        except AssertionError:
            found += 1
    return found


def no_decision(patch: Patch) -> None:
    """The end is told before it is journaled."""

    async def decide(self: Turn, found: Any, state: str, *, at: int = 0, **more: Any) -> None:
        found.decision = self._rows.step(
            self._run_id, 10**15, "state", state=state, at=at, attempt=found.attempt, **more
        )

    patch.setattr(Turn, "_decide", decide)


def nothing_recalled(patch: Patch) -> None:
    """What tasks have journaled is not given to the next attempt."""
    real = turn_module.so_far

    def forgetful(*given: Any) -> Any:
        found = real(*given)
        found.recalled = {}
        return found

    patch.setattr(turn_module, "so_far", forgetful)


def event_last(patch: Patch) -> None:
    """The event of the end is written when the journal says already that all is done."""
    real = Turn._finish

    async def finish(self: Turn, found: Any) -> None:
        event = self._rows.end_event(found.request, found.decision)
        with patch.context() as within:
            within.setattr(rows_module.RunRows, "end_event", lambda *_: None)
            await real(self, found)
        await self._writer.put([event])

    patch.setattr(Turn, "_finish", finish)


def random_ids(patch: Patch) -> None:
    """Whoever tells the end gives it an id of his own."""
    real = rows_module.RunRows.end_event

    def end_event(self: Any, request: Any, decision: Any) -> Any:
        return real(self, replace(request, id=f"{self._worker:0<36}"), replace(decision, run_id=request.id))

    patch.setattr(rows_module.RunRows, "end_event", end_event)


@pytest.mark.parametrize("off", [no_decision, nothing_recalled, event_last, random_ids])
async def test_without_it_a_death_breaks_a_promise(off: Callable[[Patch], None], monkeypatch: Patch) -> None:
    """With one protection off, some death of the owner makes two ends, repeats a task or loses an event."""
    rows = await rows_of_a_quiet_life()
    off(monkeypatch)
    assert await faults(rows) > 0


async def test_without_the_fence_lingering_owners_break_promises(monkeypatch: Patch) -> None:
    """When former owners can still write, runs end in two ways or again."""

    class Unfenced(runs_world.SimulatedFence):
        def write(self, rows: Any) -> Any:
            self._epoch = self._world.epochs[self._partition]
            return super().write(rows)

    monkeypatch.setattr(runs_world, "SimulatedFence", Unfenced)

    async def some_seeds() -> None:
        for seed in range(10):
            await come_go_and_linger(seed, timeout_s=3)

    with pytest.raises((AssertionError, TimeoutError)):
        await some_seeds()
