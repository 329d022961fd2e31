"""The executor: what flows may do, and that it hits nobody else."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from flows import loader
from flows.context import Recalled
from flows.core import identity
from flows.testing import make_event
from schemas.event import Event
from schemas.identity import derived_id
from streams.errors import BadInput, Fenced
from streams.runs.executor import Executor, ExecutorStopped, Job, JobResult

pytestmark = pytest.mark.unit
FLOWS = Path(__file__).with_name("executor_flows.py")
VERSION = loader.version_of(FLOWS.read_bytes())


class Notes:
    """Callbacks that note what they are told, and fail on demand."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []
        self.emitted: list[Event] = []
        self.fail_finished: Exception | None = None
        self.fail_emit: Exception | None = None
        self.delay_s = 0.0

    async def on_started(self, at_us: int) -> None:
        self.said.append(("run", at_us))

    async def task_started(self, *, task: str, task_key: str, attempt: int, at_us: int) -> None:
        self.said.append(("started", task_key, attempt))

    async def task_finished(
        self,
        *,
        task: str,
        task_key: str,
        attempt: int,
        state: str,
        result: str | None,
        error: str | None,
        at_us: int,
    ) -> None:
        await asyncio.sleep(self.delay_s)
        if self.fail_finished:
            raise self.fail_finished
        self.said.append((state, task_key, result))

    async def emit(self, event: Event) -> Event:
        if self.fail_emit:
            raise self.fail_emit
        self.emitted.append(event)
        return event


def job(flow: str, *, timeout_s: float = 20, file: Path = FLOWS, version: str = VERSION, **more: Any) -> Job:
    """Return a job of one of the flows."""
    key = derived_id("run", flow)
    return Job(
        run_id=key,
        flow=flow,
        file=str(file),
        version=version,
        correlation_id=key,
        timeout_s=timeout_s,
        **more,
    )


def failure(result: JobResult, state: str = "failed") -> Mapping[str, Any]:
    """Return the error of a result that must have failed."""
    assert result.state == state, result
    found: dict[str, Any] = json.loads(result.error or "{}")
    assert found.keys() == {"type", "message", "traceback", "output"}
    return found


@pytest_asyncio.fixture
async def executor() -> AsyncIterator[Executor]:
    """An executor of one slot."""
    made = Executor(slots=1, output_bytes=1000, term_grace_s=0.3)
    await made.start()
    yield made
    await made.stop(0)


async def test_a_run_journals_its_tasks_and_emits(executor: Executor) -> None:
    """Each task's end is told before the next begins; results, events and output come back."""
    notes = Notes()
    event = make_event("go", {"resource.id": "file.1"})
    result = await executor.run(job("good", parameters={"n": 1}, events=(event,), depth=3), notes)
    run_id = job("good").run_id
    emitted_id = identity.run_event_id(run_id, "", 0, "done", "1")
    assert (result.state, json.loads(result.result or "")) == ("succeeded", [2, 4, emitted_id, "file.1"])
    assert [one[0] for one in notes.said] == ["run", "started", "succeeded", "started", "succeeded"]
    assert notes.said[2] == ("succeeded", "double:0", "2")
    (emitted,) = notes.emitted
    assert (emitted.id, emitted.depth, emitted.causation_id) == (emitted_id, 3, run_id)
    assert result.output == "doubling 1\ndoubling 2\n"
    assert result.started_us is not None
    assert result.started_us <= result.ended_us


async def test_recalled_tasks_are_not_run_again(executor: Executor) -> None:
    """A resumed run gets the journaled result; a task whose result was not JSON runs again."""
    notes = Notes()
    recalled = {"double:0": Recalled(result="70"), "double:1": Recalled(result=None)}
    result = await executor.run(job("good", parameters={"n": 1}, recalled=recalled, attempt=2), notes)
    assert json.loads(result.result or "")[:2] == [70, 140]
    assert [one[1] for one in notes.said if one[0] == "started"] == ["double:1"]


async def test_async_flows_and_threads_are_journaled(executor: Executor) -> None:
    """Gathered tasks wait for their own journal record side by side; a thread of the user's counts too."""
    notes = Notes()
    notes.delay_s = 0.2
    start = time.monotonic()
    assert (await executor.run(job("gathered"), notes)).result == "10"
    assert time.monotonic() - start < 0.9
    assert (await executor.run(job("threaded"), notes)).result == "[8]"
    assert notes.said[-1] == ("succeeded", "double:0", "8")


async def test_misbehaviour_fails_one_run_with_its_reason(executor: Executor) -> None:
    """Raising, exiting, dying and crashing each fail one run, say why, and leave the next one unharmed."""
    told = failure(await executor.run(job("raises"), Notes()))
    assert (told["type"], told["message"]) == ("ValueError", "no such thing")
    assert "in deeper" in told["traceback"]
    assert "child.py" not in told["traceback"]
    assert "sys.exit(3)" in failure(await executor.run(job("exits"), Notes()))["message"]
    told = failure(await executor.run(job("exits_hard"), Notes()))
    assert "exit code 7" in told["message"]
    assert told["output"] == "last words\n"
    told = failure(await executor.run(job("crashes"), Notes()))
    assert "SIGSEGV" in told["message"]
    assert "in crashes" in told["output"]
    told = failure(await executor.run(job("good"), Notes()))
    assert "needs 'n'" in told["message"]
    assert (await executor.run(job("not_json"), Notes())).result is None
    assert (await executor.run(job("good", parameters={"n": 1}), Notes())).state == "succeeded"


async def test_a_hanging_flow_times_out_and_shows_where(executor: Executor) -> None:
    """A flow beyond its limit is stopped; the traceback shows the line where it hung."""
    result = await executor.run(job("hangs", timeout_s=0.5), Notes())
    told = failure(result, "timed_out")
    assert "longer than 0.5 s" in told["message"]
    assert "in hangs" in told["traceback"]


async def test_a_stubborn_flow_is_killed_with_what_it_started(executor: Executor, tmp_path: Path) -> None:
    """A flow that swallows the stop is killed after the grace, its own processes too, and is replaced."""
    pid_file = tmp_path / "pid"
    (before,) = executor.pids
    stubborn = job("hangs_stubbornly", timeout_s=0.7, parameters={"pid_file": str(pid_file)})
    start = time.monotonic()
    failure(await executor.run(stubborn, Notes()), "timed_out")
    assert time.monotonic() - start < 3
    assert (await executor.run(job("pid"), Notes())).result != str(before)
    assert _gone(int(pid_file.read_text()))


async def test_megabytes_of_output_neither_block_nor_pile_up(executor: Executor) -> None:
    """Of 50 MB of print the first and last part are kept."""
    result = await executor.run(job("prints", parameters={"megabytes": 50}), Notes())
    assert result.result == '"quiet again"'
    assert len(result.output) < 1200
    assert result.output.startswith("first\nxxx")
    assert result.output.endswith("xxx\nlast\n")
    assert "bytes left out" in result.output


async def test_a_forked_copy_does_not_answer_for_the_run(executor: Executor) -> None:
    """A process forked off by the user's code ends by itself; the run's own result counts."""
    assert (await executor.run(job("forks"), Notes())).result == '"from the run"'
    assert (await executor.run(job("pid"), Notes())).state == "succeeded"


async def test_another_version_parks_the_run(executor: Executor, tmp_path: Path) -> None:
    """Without the run's version on disk it is parked with the reason; a changed file is loaded anew."""
    file = tmp_path / "changing.py"
    text = "from flows import flow\n@flow\ndef f():\n    return {}\n"
    file.write_text(text.format(1))
    first = loader.version_of(file.read_bytes())
    assert (await executor.run(job("f", file=file, version=first), Notes())).result == "1"
    file.write_text(text.format(2))
    second = loader.version_of(file.read_bytes())
    assert (await executor.run(job("f", file=file, version=second), Notes())).result == "2"
    told = failure(await executor.run(job("f", file=file, version=first), Notes()), "parked")
    assert first in told["message"]
    assert second in told["message"]
    file.unlink()
    told = failure(await executor.run(job("f", file=file, version="0" * 16), Notes()), "parked")
    assert "cannot be read" in told["message"]


async def test_a_file_that_does_not_load_fails_the_run(executor: Executor, tmp_path: Path) -> None:
    """An error at import shows the user's own traceback."""
    file = tmp_path / "broken.py"
    file.write_text("def f():\n    return 1 / 0\n\nf()\n")
    executor.preload(str(file))
    broken = job("f", file=file, version=loader.version_of(file.read_bytes()))
    told = failure(await executor.run(broken, Notes()))
    assert "ZeroDivisionError" in told["message"]
    assert "line 2, in f" in told["traceback"]


async def test_a_failing_journal_ends_the_attempt(executor: Executor) -> None:
    """What task_finished raises comes out of run, the process is replaced, and no task went on."""
    notes = Notes()
    notes.fail_finished = Fenced("another owner")
    with pytest.raises(Fenced):
        await executor.run(job("good", parameters={"n": 1}), notes)
    assert [one[0] for one in notes.said] == ["run", "started"]
    assert (await executor.run(job("good", parameters={"n": 1}), Notes())).state == "succeeded"


async def test_a_refused_event_is_raised_in_the_flow(executor: Executor) -> None:
    """BadInput from emit fails at the user's line; anything else ends the attempt."""
    notes = Notes()
    notes.fail_emit = BadInput("the event is too large")
    told = failure(await executor.run(job("good", parameters={"n": 1}), notes))
    assert (told["type"], told["message"]) == ("NotEmitted", "the event is too large")
    notes.fail_emit = Fenced("another owner")
    with pytest.raises(Fenced):
        await executor.run(job("good", parameters={"n": 1}), notes)


async def test_a_cancelled_run_is_killed(executor: Executor) -> None:
    """Cancelling run kills its process, and the slot is filled again."""
    (before,) = executor.pids
    running = asyncio.create_task(executor.run(job("hangs"), Notes()))
    await asyncio.sleep(0.3)
    assert executor.free_slots == 0
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await executor.run(job("good", parameters={"n": 1}), Notes())).state == "succeeded"
    assert _gone(before)


async def test_an_idle_process_that_dies_is_replaced(executor: Executor) -> None:
    """Killing an idle process costs nobody a run."""
    (before,) = executor.pids
    os.kill(before, signal.SIGKILL)
    result = await executor.run(job("pid"), Notes())
    assert result.state == "succeeded"
    assert result.result != str(before)
    assert executor.free_slots == 1


async def test_stopping_cuts_runs_off_as_unfinished() -> None:
    """Stop lets runs end for the grace; one that goes on, and one that waits, are unfinished, not failed."""
    executor = Executor(slots=1)
    await executor.start()
    (child,) = executor.pids
    cut, waiting = (asyncio.create_task(executor.run(job("hangs"), Notes())) for _ in range(2))
    await asyncio.sleep(0.2)
    await executor.stop(0.1)
    for one in (cut, waiting):
        with pytest.raises(ExecutorStopped):
            await one
    assert _gone(child)


async def test_a_slot_waits_for_its_turn_and_starts_quickly(executor: Executor) -> None:
    """More runs than slots all end; with a free slot and a loaded file the first line runs within 20 ms."""
    results = await asyncio.gather(*(executor.run(job("pid"), Notes()) for _ in range(10)))
    assert len({r.result for r in results}) == 1
    best_us = 10**9
    for _ in range(10):
        asked_us = time.time_ns() // 1000
        result = await executor.run(job("pid"), Notes())
        best_us = min(best_us, (result.started_us or 0) - asked_us)
    assert best_us < 20_000


def test_children_die_with_their_worker() -> None:
    """A worker killed with -9 leaves no child behind, not even one whose code holds the interpreter."""
    code = (
        "import asyncio\n"
        "from streams.runs.executor import Executor\n"
        "async def main():\n"
        "    executor = Executor(slots=2)\n"
        "    await executor.start()\n"
        "    print(*executor.pids, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    pids = [int(text) for text in worker.stdout.readline().split()]
    assert len(pids) == 2
    worker.kill()
    worker.wait()
    worker.stdout.close()
    assert all(_gone(one) for one in pids)


def _gone(pid: int) -> bool:
    """Whether a process is gone within 3 s; one that nobody has buried counts as gone."""
    for _ in range(150):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False
