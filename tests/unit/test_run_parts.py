"""The engine's parts: whose turn it is, rows in groups, where flows are, what a journal's rows say."""

import asyncio
import json
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from flows.loader import version_of
from schemas.codec import fixed_codec
from schemas.identity import derived_id
from schemas.record import Trigger
from streams.errors import Fenced, Overload, Transport
from streams.kafka.fenced import Row
from streams.runs.flow_files import FlowFiles
from streams.runs.group_writer import GROUP_MAX, GroupWriter
from streams.runs.rows import RunRows
from streams.runs.run_queue import RunQueue
from streams.runs.steps import TAKE, TERMINAL_SEQ, journal_key, load, run_and_seq
from tests.simulation.runs_world import MemoryJournal, World

pytestmark = pytest.mark.unit
RUN = derived_id("run", 1)


class Starts:
    """Notes whose turn it is."""

    def __init__(self, queue: RunQueue) -> None:
        self.queue = queue
        self.runs: list[str] = []

    def start(self, run_id: str) -> None:
        self.runs.append(run_id)


def test_lanes_take_turns() -> None:
    """A flow with many runs does not keep another flow's only run waiting."""
    queue = RunQueue(1)
    starts = Starts(queue)
    for n in range(100):
        queue.add(starts, "busy", f"busy{n}")
    queue.add(starts, "rare", "rare0")
    queue.release()
    queue.release()
    assert sorted(starts.runs) == ["busy0", "busy1", "rare0"]
    assert queue.waiting == 98
    queue.release()
    assert starts.runs[-1] == "busy2"


def test_what_a_partition_leaves_behind_is_dropped() -> None:
    """A forgotten partition's runs get no turn, the others' do; a stopped queue gives none at all."""
    queue = RunQueue(1)
    gone, stays = Starts(queue), Starts(queue)
    for n in range(3):
        queue.add(gone, "f", f"g{n}")
        queue.add(stays, "f", f"s{n}")
    queue.forget(gone)
    queue.release()
    queue.stop()
    queue.release()
    assert (gone.runs, stays.runs, queue.waiting) == (["g0"], ["s0"], 2)


class SlowFence:
    """Acknowledges when told."""

    def __init__(self) -> None:
        self.groups: list[tuple[Sequence[Row], Future[list[int]]]] = []
        self.overloaded = False

    def write(self, rows: Sequence[Row]) -> "Future[list[int]]":
        if self.overloaded:
            raise Overload("too much")
        self.groups.append((rows, Future()))
        return self.groups[-1][1]

    def acknowledge(self, at: int) -> None:
        rows, future = self.groups[at]
        future.set_result([int(row.value or b"0") for row in rows])


def row(number: int, topic: str = "sim.run-log") -> Row:
    return Row(topic, 0, b"k%d" % number, b"%d" % number)


async def test_rows_wait_for_nobody_and_then_go_together() -> None:
    """The first rows go at once; what comes while writes are under way goes in one group, in order."""
    world, fence = World(), SlowFence()
    journal = MemoryJournal(world, 0)
    writer = GroupWriter(fence, journal, world.topics.journal.name)
    first = writer.put([row(0), row(1, world.topics.journal.name)])
    await asyncio.sleep(0)
    assert [len(rows) for rows, _ in fence.groups] == [2]
    assert journal.rows == {b"k1": b"1"}
    second = writer.put([row(2)])
    await asyncio.sleep(0)
    rest = [writer.put([row(n)]) for n in range(3, 3 + 2 * GROUP_MAX)]
    await asyncio.sleep(0)
    assert [len(rows) for rows, _ in fence.groups] == [2, 1]
    fence.acknowledge(1)
    assert await second == [2]
    assert [len(rows) for rows, _ in fence.groups] == [2, 1, GROUP_MAX]
    fence.acknowledge(0)
    assert await first == [0, 1]
    for at in (2, 3):
        fence.acknowledge(at)
    assert [(await one)[0] for one in rest] == list(range(3, 3 + 2 * GROUP_MAX))


async def test_a_lost_fence_fails_everything_that_waits() -> None:
    """What is under way, what waits and what comes later fails, and nothing more is written."""
    world, fence = World(), SlowFence()
    writer = GroupWriter(fence, MemoryJournal(world, 0), world.topics.journal.name)
    writes = []
    for n in range(4):
        writes.append(writer.put([row(n)]))
        await asyncio.sleep(0)
    fence.groups[0][1].set_exception(Fenced("shut out"))
    for one in (writes[0], writes[2], writes[3], writer.put([row(9)])):
        with pytest.raises(Fenced):
            await one
    assert writer.lost
    assert len(fence.groups) == 2


async def test_a_closed_writer_writes_nothing() -> None:
    """Rows put but not yet given to the fence are not written after a drop."""
    world, fence = World(), SlowFence()
    writer = GroupWriter(fence, MemoryJournal(world, 0), world.topics.journal.name)
    put = writer.put([row(1)])
    writer.close()
    with pytest.raises(Transport):
        await put
    await asyncio.sleep(0)
    assert fence.groups == []


async def test_an_overloaded_fence_loses_the_writer() -> None:
    """Rows that the fence does not take are not left waiting for ever."""
    world, fence = World(), SlowFence()
    fence.overloaded = True
    writer = GroupWriter(fence, MemoryJournal(world, 0), world.topics.journal.name)
    with pytest.raises(Overload):
        await writer.put([row(1)])


def deployed(file: Path, version: str, *, removed: bool = False, flow: str = "load") -> Trigger:
    definition = {"name": flow, "file": str(file), "timeout_s": 5, "retries": 2, "retry_delay_s": 1}
    return Trigger(
        id="",
        event="",
        name=flow,
        version="1",
        definition="{}",
        flow=flow,
        flow_version=version,
        flow_definition=json.dumps(definition),
        deployment_id="",
        published=0,
        published_by="",
        removed=removed,
    )


async def test_flows_are_found_as_they_are_deployed(tmp_path: Path) -> None:
    """By version while it is known, else as deployed now; a removed trigger's flow can still run."""
    file = tmp_path / "f.py"
    file.write_text("x = 1\n")
    version = version_of(file.read_bytes())
    newest = {"load": (3, deployed(file, version))}
    position = 4
    flows = FlowFiles(newest=lambda: newest, position=lambda: position)
    found = flows.find("load", version)
    assert found is not None
    assert (found.file, found.timeout_s, found.retry.retries) == (str(file), 5, 2)
    assert flows.find("load", "unknown") == found
    assert flows.find("other", version) is None
    assert await flows.available("load", version)
    assert not await flows.available("load", "unknown")
    assert not await flows.available("other", version)
    newest["load"] = (5, replace(newest["load"][1], removed=True, flow_definition=""))
    newest["bad"] = (6, replace(newest["load"][1], flow="bad", flow_definition="{"))
    position = 7
    assert flows.find("load", version) == found
    assert flows.find("bad", version) is None
    assert flows.files() == {str(file)}
    file.unlink()
    assert not await flows.available("load", version)


def test_a_journal_is_indexed_without_being_decoded() -> None:
    """Claims, ends, decided ends and leftovers are told apart; foreign keys are refused."""
    world = World()
    rows = RunRows(0, topics=world.topics, codec=fixed_codec(), worker="w")
    ids = [derived_id("run", n) for n in range(4)]

    def item(run: str, seq: int, kind: str) -> tuple[bytes, bytes]:
        made = rows.journal(rows.step(run, seq, kind, state="x", at=1))
        return made.key or b"", made.value or b""

    found = load(
        dict(
            [
                item(ids[0], 0, "claimed"),
                item(ids[1], 0, "claimed"),
                item(ids[1], 2 * TAKE + 5, "task"),
                item(ids[1], TERMINAL_SEQ, "state"),
                item(ids[2], 0, "finished"),
                item(ids[2], 3, "task"),
                item(ids[3], 3, "task"),
            ]
        )
    )
    assert list(found.unfinished) == ids[:2]
    assert found.unfinished[ids[0]].next_seq == TAKE
    assert found.unfinished[ids[1]].next_seq == 3 * TAKE
    assert found.ending == [ids[1]]
    assert found.finished == [journal_key(ids[2], 0)]
    assert found.left_over == [journal_key(ids[2], 3), journal_key(ids[3], 3)]
    assert run_and_seq(journal_key(RUN, 12)) == (RUN, 12)
    with pytest.raises(ValueError, match="not a key"):
        run_and_seq(b"foreign")
