"""What the engine makes of requests and of attempts, on logs in memory."""

import asyncio
import json
from dataclasses import replace

import pytest

from flows.retry import Retry
from schemas.event import DEPTH_MAX
from schemas.record import DeadLetter, Journal
from streams.runs.child_job import Job, JobResult, RunCallbacks
from streams.runs.executor import ExecutorStopped
from streams.runs.ports import FlowFile
from streams.runs.steps import TERMINAL_SEQ, journal_key
from tests.simulation.runs_world import LIMITS, START_US, Owner, World, states, until

pytestmark = pytest.mark.unit
HOUR_US = 3_600_000_000


async def test_a_run_leaves_its_story() -> None:
    """Claimed, running, its tasks, its end, its event; of the journal one small row stays."""
    world = World()
    request = world.request(1)
    await Owner(world).live()
    assert states(world, request.id) == ["claimed", "running", "succeeded"]
    assert [item.state for item in world.task_log(request.id)] == ["running", "succeeded"] * 3
    end = world.run_log(request.id)[-1]
    assert (end.result, end.attempt, end.seq) == ('"done"', 1, TERMINAL_SEQ)
    assert end.started is not None
    assert (end.ended or 0) >= end.started
    ((key, value),) = world.journal_rows(0).items()
    assert key == journal_key(request.id, 0)
    row = world.codec.decode(value, Journal)
    terminal = world.logs[world.topics.run_log.name, 0][-1]
    assert (row.kind, row.state, row.run_log_offset) == ("finished", "succeeded", terminal.offset)
    assert row.request is None
    mine, told = world.events()
    assert (mine.event, mine.source, mine.causation_id, mine.depth) == (
        "file.loaded",
        "flow:load",
        request.id,
        1,
    )
    assert mine.correlation_id == told.correlation_id == request.correlation_id
    assert (told.event, told.resource_id) == ("ensue.run.succeeded", f"ensue://run/{request.id}")
    assert json.loads(told.resource)["trigger"] == "files"
    assert (told.causation_id, told.depth) == (request.id, 1)


async def test_requests_that_cannot_be_run_become_dead_letters() -> None:
    """Garbage, another partition's run and parameters that are no object go aside; the others run."""
    world = World()
    world.append(world.topics.runs.name, 0, b"k", b"\x00garbage")
    world.append(world.topics.runs.name, 0, b"k", None)
    world.request(1, parameters="[1]")
    world.request(2, id="no uuid")
    good = world.request(3)
    owner = Owner(world)
    await owner.live()
    letters = world.records(world.topics.dead_letters.name, DeadLetter)
    assert [item.reason for item in letters][1:] == ["truncated", "invalid", "wrong_partition"]
    assert {item.stage for item in letters} == {"run"}
    assert "@" in letters[0].error
    assert states(world, good.id)[-1] == "succeeded"
    assert len(owner.done) == 5


async def test_requests_for_old_events_wait_for_the_store() -> None:
    """A young request starts at once; an old one waits until the store says that no such run has ended."""
    world = World(store_away=True)
    old = world.request(1, occurred=START_US - 2 * HOUR_US)
    ahead = world.request(2, occurred=START_US + HOUR_US)
    young = world.request(3)
    owner = Owner(world)
    await owner.load()
    batch = await owner.take_in()
    await owner.take_in()  # given again, it waits once
    await until(lambda: states(world, young.id)[-1:] == ["succeeded"])
    assert states(world, old.id) == states(world, ahead.id) == []
    assert len(batch.deferred) == 2
    assert len(owner.done) == 1
    world.store_away = False
    await until(lambda: not world.unfinished() and len(owner.done) == 3)
    assert states(world, old.id) == states(world, ahead.id) == ["claimed", "running", "succeeded"]
    world.logs[world.topics.journal.name, 0].clear()  # forgotten: only the store knows
    other = Owner(world)
    await other.load()
    await other.take_in()
    await until(lambda: len(other.done) == 3)
    assert states(world, old.id) == ["claimed", "running", "succeeded"]
    await owner.die()
    await other.die()


async def test_a_failed_run_is_tried_again_as_its_flow_says() -> None:
    """Attempts go on until the retries are used up; finished tasks are recalled, pauses are kept."""
    world = World()
    world.files["load", "v1"] = FlowFile(file="f", retry=Retry(retries=2, delay_s=0.01, backoff=1))
    request = world.request(1)
    world.script = lambda job: "timed_out" if job.attempt < 3 else "failed"
    owner = Owner(world)
    await owner.live()
    assert states(world, request.id) == ["claimed", *["running", "retrying"] * 2, "running", "failed"]
    assert [job.attempt for job in owner.runner.jobs] == [1, 2, 3]
    assert world.executed == {(request.id, key): 1 for key in ("a:0", "b:0", "c:0")}
    assert len({item.id for item in world.events() if item.event == "file.loaded"}) == 1
    assert world.events()[-1].event == "ensue.run.failed"


async def test_a_pause_outlives_its_owner() -> None:
    """A new owner waits for the rest of the pause before the next attempt."""
    world = World()
    world.files["load", "v1"] = FlowFile(file="f", retry=Retry(retries=1, delay_s=3600))
    request = world.request(1)
    world.script = lambda _job: "failed"
    await Owner(world).live(until=lambda: states(world, request.id)[-1:] == ["retrying"])
    second = Owner(world)
    await second.load()
    await asyncio.sleep(0.05)
    assert not second.runner.jobs
    await second.die()
    world.now += 2 * HOUR_US
    third = Owner(world)
    await third.live()
    assert [job.attempt for job in third.runner.jobs] == [2]


async def test_a_run_that_takes_its_owners_down_is_given_up() -> None:
    """Taken up so often without a finished task, it fails and says so; a crash is no attempt of its own."""
    world = World(limits=replace(LIMITS, takes_max=3))
    request = world.request(1)
    for _ in range(3):
        owner = Owner(world)
        started = asyncio.Event()

        async def hang(job: Job, calls: RunCallbacks, started: asyncio.Event = started) -> JobResult:
            started.set()
            return await asyncio.Future()

        owner.runner.run = hang  # type: ignore[method-assign]
        await owner.live(until=started.is_set)
    await Owner(world).live()
    assert states(world, request.id)[-1] == "failed"
    end = world.run_log(request.id)[-1]
    assert end.attempt == 1
    assert "taken up 3 times" in json.loads(end.error or "")["message"]


async def test_a_run_whose_code_is_not_here_waits_for_it() -> None:
    """Parked with its reason, by every owner once at most, and taken up again when the version comes."""
    world = World()
    deployed = world.files.pop(("load", "v1"))
    request = world.request(1)
    first = Owner(world)
    await first.live(until=lambda: states(world, request.id)[-1:] == ["parked"])
    assert "deploy its file" in (world.run_log(request.id)[-1].error or "")
    second = Owner(world)
    await second.load()
    await asyncio.sleep(0.05)
    assert states(world, request.id) == ["claimed", "parked"]
    world.files["load", "v1"] = deployed
    await until(lambda: not world.unfinished())
    assert states(world, request.id) == ["claimed", "parked", "running", "succeeded"]
    await second.die()


async def test_the_executor_may_park_a_run() -> None:
    """A version that is not on this disk parks the run too; it is not a failure."""
    world = World()
    request = world.request(1)
    world.script = lambda _job: "parked"
    owner = Owner(world)
    await owner.live(until=lambda: states(world, request.id)[-1:] == ["parked"])
    assert owner.engine.counts.retried == 0


async def test_ended_runs_are_forgotten_when_the_store_has_them() -> None:
    """Not before the store has the terminal row, and not before `dedupe_for` has passed."""
    world = World(limits=replace(LIMITS, forget_every_s=0.01))
    world.request(1)
    owner = Owner(world)
    await owner.load()
    await owner.take_in()
    await until(lambda: not world.unfinished())
    world.now += 2 * HOUR_US
    await asyncio.sleep(0.05)
    assert len(world.journal_rows(0)) == 1
    world.stored = 10**9
    await until(lambda: not world.journal_rows(0))
    young = world.request(2)
    await owner.take_in()
    await until(lambda: states(world, young.id)[-1:] == ["succeeded"])
    await asyncio.sleep(0.05)
    assert len(world.journal_rows(0)) == 1
    await owner.die()


async def test_a_chain_at_its_end_emits_no_event_of_its_runs() -> None:
    """At the largest depth the end of a run is not an event any more: a loop comes to its end."""
    world = World(emit=False)
    request = world.request(1, depth=DEPTH_MAX)
    await Owner(world).live()
    assert states(world, request.id)[-1] == "succeeded"
    assert world.events() == []


async def test_an_error_of_ours_ends_the_run_and_nothing_else() -> None:
    """Whatever the engine meets, the run fails after some tries and the others go on."""
    world = World()
    bad, good = world.request(1), world.request(2, flow="other")
    world.files["other", "v1"] = world.files["load", "v1"]

    def script(job: Job) -> str:
        if job.run_id == bad.id:
            raise RuntimeError("never seen before")
        return "succeeded"

    world.script = script
    owner = Owner(world)
    await owner.live()
    assert states(world, good.id)[-1] == "succeeded"
    assert states(world, bad.id)[-1] == "failed"
    assert "never seen before" in (world.run_log(bad.id)[-1].error or "")


async def test_a_stopping_executor_ends_no_run() -> None:
    """Runs that find the executor stopping stay unfinished, and no further ones are taken up."""
    world = World()
    requests = [world.request(n) for n in range(9)]
    owner = Owner(world)

    async def stopped(job: Job, calls: RunCallbacks) -> JobResult:
        raise ExecutorStopped("stopping")

    owner.runner.run = stopped  # type: ignore[method-assign]
    await owner.load()
    await owner.take_in()
    await asyncio.sleep(0.02)
    assert owner.queue.waiting > 0
    await owner.die()
    await Owner(world).live()
    assert all(states(world, request.id)[-1] == "succeeded" for request in requests)


async def test_dropping_stops_everything_at_once() -> None:
    """After a drop nothing is written, no timer is left and all turns are free again."""
    world = World()
    world.files["load", "v1"] = FlowFile(file="f", retry=Retry(retries=5, delay_s=0.01))
    for n in range(20):
        world.request(n)
    world.script = lambda _job: "failed"
    owner = Owner(world)
    await owner.load()
    await owner.take_in()
    await asyncio.sleep(0.005)
    await owner.die()
    rows = sum(len(log) for log in world.logs.values())
    await asyncio.sleep(0.1)
    assert sum(len(log) for log in world.logs.values()) == rows
    assert (owner.queue.unfinished, owner.queue.waiting) == (0, 0)
    assert owner.queue._free == 2
    owner.shard.drop()


async def test_a_request_starts_not_before_its_time() -> None:
    """`start_after` is kept."""
    world = World()
    request = world.request(1, start_after=START_US + HOUR_US)
    owner = Owner(world)
    await owner.load()
    await owner.take_in()
    await asyncio.sleep(0.05)
    assert states(world, request.id) == ["claimed"]
    await owner.die()
    world.now += 2 * HOUR_US
    await Owner(world).live()
    assert states(world, request.id)[-1] == "succeeded"


async def test_a_record_that_fails_can_be_refused() -> None:
    """`refuse` writes a dead letter durably."""
    world = World()
    world.request(1)
    owner = Owner(world)
    await owner.load()
    (record,) = world.logs[world.topics.runs.name, 0]
    await owner.shard.refuse(record, ValueError("odd"))
    (letter,) = world.records(world.topics.dead_letters.name, DeadLetter)
    assert "odd" in letter.error
    assert letter.raw == record.value
    await owner.die()


async def test_leftovers_of_ended_runs_are_removed_at_load() -> None:
    """An owner that died while it removed a run's rows leaves the rest to the next one."""
    world = World()
    request = world.request(1)
    await Owner(world).live()
    key = journal_key(request.id, 7)
    world.append(world.topics.journal.name, 0, key, world.journal_rows(0)[journal_key(request.id, 0)])
    owner = Owner(world)
    await owner.load()
    await until(lambda: key not in world.journal_rows(0))
    await owner.take_in()
    assert len(world.journal_rows(0)) == 1
    await owner.die()
