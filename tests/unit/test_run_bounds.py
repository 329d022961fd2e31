"""What runs may cost at most, and what happens at the bound."""

import json
from dataclasses import replace

import pytest

from flows.testing import make_event
from schemas.record import RunLog
from streams.errors import BadInput, Overload, Transport
from streams.runs.child_job import Job, JobResult, RunCallbacks
from streams.runs.emitted import emitted as checked
from tests.simulation.runs_world import LIMITS, START_US, Owner, World, states, until

pytestmark = pytest.mark.unit


async def test_nothing_is_accepted_beyond_the_bound() -> None:
    """A worker that holds `claims_max` unfinished runs raises Overload and writes nothing."""
    world = World(limits=replace(LIMITS, claims_max=2))
    world.files.clear()
    requests = [world.request(n) for n in range(2)]
    owner = Owner(world)
    await owner.load()
    await owner.take_in()
    world.request(3)
    with pytest.raises(Overload):
        await owner.take_in()
    assert {item.run_id for item in world.records(world.topics.run_log.name, RunLog)} == {
        request.id for request in requests
    }
    await owner.die()
    assert owner.queue.unfinished == 0


async def test_too_many_results_fail_the_run_with_the_reason() -> None:
    """What a run may journal is bounded; the run fails and says what to do."""
    world = World(limits=replace(LIMITS, journaled_bytes_max=2))
    request = world.request(1)
    await Owner(world).live()
    end = world.run_log(request.id)[-1]
    assert end.state == "failed"
    assert "return less" in json.loads(end.error or "")["message"]


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ({"event": "a\nb"}, "name"),
        ({"resource_id": ""}, "resource"),
        ({"resource_id": "x" * 9000}, "resource"),
        ({"resource": {str(n): "" for n in range(501)}}, "labels"),
        ({"related": ({"resource.id": "r"},) * 101}, "related"),
        ({"payload": {"n": float("nan")}}, "JSON"),
    ],
)
def test_an_event_that_the_gateway_would_refuse_is_refused_here(fault: dict[str, object], text: str) -> None:
    """The user's code is told which part of the event is at fault."""
    event = replace(make_event("done", {"resource.id": "x"}), **fault)
    with pytest.raises(BadInput, match=text):
        checked(event, World().request(1), START_US)


async def test_the_largest_event_is_bounded() -> None:
    """An event beyond the bound is the user's error, not a lost partition."""
    world = World(limits=replace(LIMITS, event_bytes_max=200))
    request = world.request(1)

    owner = Owner(world)
    problems: list[BadInput] = []
    real = owner.runner.run

    async def run(job: Job, calls: RunCallbacks) -> JobResult:
        try:
            await calls.emit(make_event("big", {"resource.id": "x" * 300}))
        except BadInput as error:
            problems.append(error)
        world.emit = False
        return await real(job, calls)

    owner.runner.run = run  # type: ignore[method-assign]
    await owner.live()
    assert "200 are the most" in str(problems[0])
    assert states(world, request.id)[-1] == "succeeded"


async def test_a_crowd_of_ended_runs_is_forgotten_early() -> None:
    """Beyond the bound the oldest go as soon as the store has them; requests of their time are looked up."""
    world = World(limits=replace(LIMITS, forget_every_s=0.01, ended_max=3), stored=10**9)
    requests = [world.request(n) for n in range(6)]
    owner = Owner(world)
    await owner.load()
    await owner.take_in()
    await until(lambda: len(world.journal_rows(0)) == 3)
    await owner.die()
    for fresh in (Owner(world), Owner(world)):  # the second one loads a log with the same three
        await fresh.load()
        await fresh.take_in()
        await until(lambda fresh=fresh: len(fresh.done) == len(requests))
        assert fresh.engine.counts.looked_up == 3
        assert not fresh.runner.jobs
        await fresh.die()


async def test_the_bytes_of_requests_are_bounded() -> None:
    """A worker that holds `claims_bytes_max` bytes of requests accepts no more, until runs have ended."""
    world = World(limits=replace(LIMITS, claims_bytes_max=1))
    deployed = world.files.pop(("load", "v1"))
    world.request(1)
    owner = Owner(world)
    await owner.load()
    await owner.take_in()
    with pytest.raises(Overload):
        await owner.take_in()
    world.files["load", "v1"] = deployed
    await until(lambda: not world.unfinished())
    assert owner.queue.unfinished_bytes == 0
    await owner.take_in()
    await owner.die()


async def test_an_absent_registry_makes_requests_wait() -> None:
    """A request of an unknown schema waits while the registry is away; nothing is refused or lost."""

    class Away:
        def schema(self, schema_id: int) -> str:
            raise OSError("the registry is away")

    world = World()
    request = world.request(1)
    here, world.codec._registry = world.codec._registry, Away()  # type: ignore[assignment]
    owner = Owner(world)
    await owner.load()
    with pytest.raises(Overload, match="registry"):
        await owner.take_in()
    assert not world.records(world.topics.dead_letters.name, RunLog)
    world.codec._registry = here
    await owner.take_in()
    await until(lambda: states(world, request.id)[-1:] == ["succeeded"])
    await owner.die()


async def test_a_journal_with_foreign_rows_is_not_guessed_at() -> None:
    """A partition whose journal cannot be read is not owned: runs would be lost or done twice."""
    world = World()
    world.append(world.topics.journal.name, 0, b"foreign", b"row")
    owner = Owner(world)
    with pytest.raises(Transport, match="cannot be read"):
        await owner.load()
    await owner.die()
