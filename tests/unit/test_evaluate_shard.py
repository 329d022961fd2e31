"""The owner of a candidates partition: what it writes, in which order, and what it refuses."""

import random
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace

import pytest

from flows.core.trigger import Trigger
from schemas.record import Candidate, DeadLetter, RunRequest, State, Verdict
from streams.agents.evaluate import EvaluateShard
from streams.agents.evaluate_fold import PROGRESS_KEY
from streams.agents.shard import Batch
from streams.errors import Fenced, Transport
from streams.kafka.fenced import Row
from streams.kafka.log_record import LogRecord
from streams.router.rows import Rows
from streams.router.scan import Hit
from tests.simulation.routing_world import SimulatedFence, World, WorldStates, event, trigger

pytestmark = pytest.mark.unit


class Recording(SimulatedFence):
    """A fence that notes its groups, and fails one of them when told."""

    def __init__(self, world: World) -> None:
        super().__init__(world, "evaluate.0")
        self.groups: list[list[str]] = []
        self.fail_at = -1

    def write(self, rows: Sequence[Row]) -> "Future[list[int]]":
        if len(self.groups) == self.fail_at:
            failed: Future[list[int]] = Future()
            failed.set_exception(Fenced("another owner"))
            return failed
        self.groups.append([row.topic.removeprefix("sim.") for row in rows])
        return super().write(rows)


def world_with(*definitions: Trigger) -> World:
    """A world of one partition with these triggers in force from the start."""
    world = World(random.Random(1), partitions=1)
    world.definitions.log = [(one.name, one) for one in definitions]
    world.definitions.position = len(definitions)
    return world


def put(world: World, number: int, *definitions: Trigger, **changed: object) -> LogRecord:
    """Write an event's candidates as the router does; return the last record."""
    record = event(world, number, "a", "r")
    raw = LogRecord("sim.events", 0, number, world.now_ms, None, world.codec.encode(record), ())
    hit = Hit(raw, raw.value or b"", record.id, "a", False)
    for one in definitions:
        rows = Rows(world.topics, 0, world.codec.encode).candidates(
            hit, [(one, "")], world.definitions.position, duplicate=False
        )
        value = rows[0].value or b""
        if changed:
            value = world.codec.encode(replace(world.codec.decode(value, Candidate), **changed))  # type: ignore[arg-type]
        world.append(world.topics.candidates.name, 0, rows[0].key, value)
    return world.log(world.topics.candidates, 0)[-1]


async def owner_of(world: World, fence: SimulatedFence) -> EvaluateShard:
    """A loaded owner of the world's only partition."""
    owner = EvaluateShard(
        0,
        topics=world.topics,
        codec=world.codec,
        definitions=world.definitions,
        open_states=lambda fence, p: WorldStates(world, p),
    )
    await owner.load(fence)  # type: ignore[arg-type]
    return owner


def batch_of(records: Sequence[LogRecord]) -> Batch:
    """A batch as ownership hands it on."""
    return Batch(records, lambda _offset: None)


def read(world: World, name: str, cls: type) -> list[object]:
    """Everything in a topic, decoded."""
    topic = {t.name: t for t in world.topics.all()}[f"sim.{name}"]
    return [world.codec.decode(r.value or b"", cls) for r in world.all(topic)]


PAIR = trigger("pair", "a", threshold=2)
EACH = trigger("each", "a")


async def test_firings_are_written_before_states_and_progress_last() -> None:
    """One group with verdicts and requests, then one with states that ends with the progress row."""
    world = world_with(PAIR, EACH)
    fence = Recording(world)
    owner = await owner_of(world, fence)
    put(world, 1, EACH, PAIR)
    put(world, 2, EACH, PAIR)
    await owner.handle(batch_of(world.log(world.topics.candidates, 0)))
    assert sorted(fence.groups[0]) == ["runs"] * 3 + ["verdicts"] * 4
    assert fence.groups[1:] == [["state", "state"]]
    assert world.log(world.topics.state, 0)[-1].key == PROGRESS_KEY


@pytest.mark.parametrize("fail_at", [0, 1])
async def test_a_batch_that_failed_leaves_no_trace(fail_at: int) -> None:
    """Whichever write is refused, trying the batch again decides the same."""
    world = world_with(PAIR)
    fence = Recording(world)
    owner = await owner_of(world, fence)
    put(world, 1, PAIR)
    put(world, 2, PAIR)
    fence.fail_at = fail_at
    with pytest.raises(Fenced):
        await owner.handle(batch_of(world.log(world.topics.candidates, 0)))
    fence.fail_at = -1
    await owner.handle(batch_of(world.log(world.topics.candidates, 0)))
    assert len({request.id for request in read(world, "runs", RunRequest)}) == 1  # type: ignore[attr-defined]
    assert len({verdict.id for verdict in read(world, "verdicts", Verdict)}) == 2  # type: ignore[attr-defined]


async def test_what_is_done_is_not_done_again() -> None:
    """A record that comes again, and a candidate that comes again at a new offset, write nothing."""
    world = world_with(PAIR)
    owner = await owner_of(world, Recording(world))
    put(world, 1, PAIR)
    await owner.handle(batch_of(world.log(world.topics.candidates, 0)))
    put(world, 1, PAIR)
    fence = Recording(world)
    again = await owner_of(world, fence)
    await again.handle(batch_of(world.log(world.topics.candidates, 0)))
    assert [v.verdict for v in read(world, "verdicts", Verdict)] == ["waiting"]  # type: ignore[attr-defined]
    assert fence.groups == [["state"]]


async def test_poison_becomes_a_dead_letter_and_the_rest_is_decided() -> None:
    """Bytes that are no candidate, an unknown trigger, a body that is no event: each kept whole."""
    world = world_with(EACH)
    owner = await owner_of(world, Recording(world))
    name = world.topics.candidates.name
    world.append(name, 0, b"", b"nothing of ours, whatever it may be; but longer than an id")
    world.append(name, 0, b"", None)
    put(world, 1, trigger("unknown", "a"))
    put(world, 2, EACH, body=b"no event")
    put(world, 3, EACH, body=None)
    put(world, 4, EACH)
    await owner.handle(batch_of(world.log(world.topics.candidates, 0)))
    letters = read(world, "dead-letters", DeadLetter)
    assert len(letters) == 5
    assert {letter.stage for letter in letters} == {"evaluate"}  # type: ignore[attr-defined]
    assert "unknown_trigger" in {letter.reason for letter in letters}  # type: ignore[attr-defined]
    assert len(read(world, "runs", RunRequest)) == 1
    assert owner.counts.refused == 5


async def test_parameters_that_cannot_be_rendered_are_an_error_verdict() -> None:
    """The verdict says why, no run is requested, and nothing is lost to a dead letter."""
    wrong = replace(EACH, parameters={"x": "{{ event.payload.missing }}"})
    world = world_with(wrong)
    owner = await owner_of(world, Recording(world))
    put(world, 1, wrong)
    await owner.handle(batch_of(world.log(world.topics.candidates, 0)))
    (verdict,) = read(world, "verdicts", Verdict)
    assert verdict.verdict == "error"  # type: ignore[attr-defined]
    assert "missing" in verdict.reason  # type: ignore[attr-defined]
    assert read(world, "runs", RunRequest) == []
    assert read(world, "dead-letters", DeadLetter) == []


async def test_marks_and_ticks_decide_nothing() -> None:
    """They are counted; nothing is written for them."""
    world = world_with(EACH)
    fence = Recording(world)
    owner = await owner_of(world, fence)
    put(world, 1, EACH, kind="tick", event="ensue.tick")
    put(world, 2, EACH, kind="mark", event="ensue.mark")
    await owner.handle(batch_of(world.log(world.topics.candidates, 0)))
    assert (owner.counts.ticks, owner.counts.marks, fence.groups) == (1, 1, [])


async def test_requests_carry_what_the_run_needs() -> None:
    """Run id from the firing, all events framed, rendered parameters, partition by run id."""
    world = world_with(PAIR)
    owner = await owner_of(world, Recording(world))
    put(world, 1, PAIR)
    put(world, 2, PAIR)
    await owner.handle(batch_of(world.log(world.topics.candidates, 0)))
    (request,) = read(world, "runs", RunRequest)
    assert isinstance(request, RunRequest)
    assert request.parameters == '{"which":"r","count":2}'
    assert len(request.events) == len(request.event_ids) == 2
    states = {s.trigger: s for s in read(world, "state", State)}  # type: ignore[attr-defined]
    assert states["pair"].held == ()  # type: ignore[attr-defined]


async def test_a_dropped_owner_decides_nothing() -> None:
    """After drop, and before load, a batch raises Transport."""
    world = world_with(EACH)
    owner = await owner_of(world, Recording(world))
    record = put(world, 1, EACH)
    owner.drop()
    with pytest.raises(Transport):
        await owner.handle(batch_of([record]))
    with pytest.raises(Transport):
        await owner.refuse(record, ValueError("x"))


async def test_an_unreadable_state_stops_the_partition() -> None:
    """A state row that cannot be read is not guessed: loading raises Transport and names its place."""
    world = world_with(EACH)
    world.append(world.topics.state.name, 0, b"each\x1f", b"\x00\x00\x00\x00\x63torn")
    with pytest.raises(Transport, match=r"each.* of sim.state\[0\]"):
        await owner_of(world, Recording(world))
