"""The testing harness, and through it tasks, retries and emitted events in runs."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from flows import Event, emit_event, emit_event_async, event_trigger, flow, object_created, task
from flows.testing import START, Harness, file_created, make_event

pytestmark = pytest.mark.unit


def test_five_lines_prove_that_a_flow_fires_and_why() -> None:
    """A file makes a run with its parameters, result and reason."""

    @flow(on=object_created("landing", key="*.csv"), parameters={"file_name": "{{ event.resource.key }}"})
    def load(file_name: str) -> str:
        return file_name.upper()

    (run,) = Harness(load).send(file_created("landing", "orders.csv"))
    assert (run.state, run.result, run.parameters) == ("succeeded", "ORDERS.CSV", {"file_name": "orders.csv"})
    assert run.why == (
        "because orders.csv was created in bucket landing "
        "(matched expect storage.object.created, bucket landing, key *.csv)"
    )
    assert Harness(load).send(file_created("landing", "orders.txt")) == []


def test_an_emitted_event_starts_the_next_flow() -> None:
    """Events emitted by a run go on, with cause, chain and depth."""

    @flow(on=event_trigger("first"))
    def one() -> None:
        emit_event("second", {"resource.id": "x"}, payload={"n": 1})

    @flow(on=event_trigger("second"), parameters={"n": "{{ event.payload.n }}"})
    def two(event: Event, n: int) -> int:
        return n + event.depth

    start = make_event("first", {"resource.id": "x"})
    first, second = Harness(one, two).send(start)
    (emitted,) = first.emitted
    assert second.result == 2
    assert (emitted.causation_id, emitted.correlation_id, emitted.depth) == (first.id, start.id, 1)
    assert [e.id for e in second.events] == [emitted.id]


def test_a_threshold_gives_the_run_all_its_events() -> None:
    """Threshold 2 per user fires on that user's second event, with both; a duplicate does not count."""

    @flow(on=event_trigger("login.failed", threshold=2, for_each="user"))
    def lock(events: list[Event], event: Event) -> list[str]:
        assert event == events[-1]
        return [one.resource_id for one in events]

    def failed(user: str, at: int) -> Event:
        labels = {"resource.id": f"login.{at}", "user": user}
        return make_event("login.failed", labels, occurred=START + timedelta(seconds=at))

    harness = Harness(lock)
    assert harness.send(failed("ann", 1), failed("bob", 2), failed("ann", 1)) == []
    (run,) = harness.send(failed("ann", 3))
    assert run.result == ["login.1", "login.3"]
    assert "2 of 2 events with user ann came" in run.why
    assert "1 of 2" in harness.why(failed("bob", 2))["lock"]


def test_a_retried_run_skips_finished_tasks_and_emits_once() -> None:
    """The second attempt is given the first task's result, repeats the rest, and each event has one id."""
    calls: list[str] = []

    @task
    def fetch(n: int) -> tuple[int, int]:
        calls.append(f"fetch {n}")
        emit_event("fetched", {"resource.id": str(n)})
        return n, n

    @task
    def not_json() -> object:
        calls.append("object")
        return object()

    @flow(on=event_trigger("go"), retries=1, retry_delay_s=5)
    def work() -> Any:
        pair = fetch(1)
        not_json()
        emit_event("half", {"resource.id": "h"})
        if len(calls) < 3:
            raise RuntimeError("first attempt")
        emit_event("done", {"resource.id": "d"})
        return [pair, fetch(2)]

    harness = Harness(work)
    (run,) = harness.send(make_event("go", {"resource.id": "g"}))
    assert calls == ["fetch 1", "object", "object", "fetch 2"]
    assert (run.state, run.attempts, run.result) == ("succeeded", 2, [[1, 1], [2, 2]])
    assert list(run.tasks) == ["fetch:0", "not_json:0", "fetch:1"]
    assert [e.event for e in run.emitted] == ["fetched", "half", "done", "fetched"]
    assert harness.now == START + timedelta(seconds=5)


def test_equal_events_of_one_run_are_told_apart() -> None:
    """Two events of one name and resource have two ids, from their ordinals, in the flow and in each task."""

    @task
    def twice() -> None:
        for _ in range(2):
            emit_event("same", {"resource.id": "x"})

    @flow(on=event_trigger("go"))
    def work() -> None:
        twice()
        twice()
        emit_event("same", {"resource.id": "x"})

    harness = Harness(work)
    (run,) = harness.send(make_event("go", {"resource.id": "g"}))
    assert len({event.id for event in run.emitted}) == len(run.emitted) == 5


def test_a_task_is_tried_again_with_growing_pauses() -> None:
    """A task with retries pauses 1, 2, 4 s and its last failure fails the run with the user's traceback."""

    @task(retries=3, retry_delay_s=1)
    def flaky() -> None:
        raise ValueError("not today")

    @flow(on=event_trigger("go"))
    def work() -> None:
        flaky()

    harness = Harness(work)
    (run,) = harness.send(make_event("go", {"resource.id": "g"}))
    assert harness.now == START + timedelta(seconds=7)
    assert (run.state, run.tasks["flaky:0"].state, run.tasks["flaky:0"].attempts) == ("failed", "failed", 4)
    assert run.error is not None
    assert (run.error["type"], run.error["message"]) == ("ValueError", "not today")
    assert "in flaky" in run.error["traceback"]
    assert "task_decorator" not in run.error["traceback"]


def test_tasks_have_a_time_limit() -> None:
    """A task that takes longer than timeout_s is stopped, sync and async, whatever it catches."""

    @task(timeout_s=0.05)
    def spin() -> None:
        while True:
            try:
                while True:
                    pass
            except Exception:
                pass

    @task(timeout_s=0.05)
    async def wait() -> None:
        await asyncio.sleep(60)

    @flow(on=event_trigger("sync"))
    def one() -> None:
        spin()

    @flow(on=event_trigger("async"))
    async def two() -> None:
        await wait()

    runs = Harness(one, two).send(
        make_event("sync", {"resource.id": "g"}), make_event("async", {"resource.id": "g"})
    )
    for run in runs:
        assert run.error is not None
        assert run.error["type"] == "TaskTimedOut"
        assert [t.state for t in run.tasks.values()] == ["timed_out"]


def test_async_flows_gather_tasks_and_events_with_stable_keys() -> None:
    """Concurrent calls are counted in the order of the calls, so a second attempt recalls the right ones."""
    calls: list[int] = []

    @task
    async def double(n: int) -> int:
        calls.append(n)
        await asyncio.sleep(0.01 * (3 - n))
        return 2 * n

    @task
    async def outer(n: int) -> int:
        return await double(n)

    @flow(on=event_trigger("go"), retries=1)
    async def work() -> list[int]:
        values = await asyncio.gather(double(0), double(1), outer(2))
        await asyncio.gather(*(emit_event_async("e", {"resource.id": str(n)}) for n in range(3)))
        if len(calls) == 3:
            calls.append(-1)
            raise RuntimeError
        return list(values)

    (run,) = Harness(work).send(make_event("go", {"resource.id": "g"}))
    assert run.result == [0, 2, 4]
    assert calls == [0, 1, 2, -1]
    assert set(run.tasks) == {"double:0", "double:1", "outer:0", "outer:0/double:0"}
    assert [e.resource_id for e in run.emitted] == ["0", "1", "2"]


async def test_async_flows_run_inside_an_event_loop() -> None:
    """An async test may send events too."""

    @flow(on=event_trigger("go"))
    async def work() -> int:
        await asyncio.sleep(0)
        return 1

    (run,) = Harness(work).send(make_event("go", {"resource.id": "g"}))
    assert run.result == 1


def test_a_template_that_fails_makes_an_error_and_no_run() -> None:
    """A missing label is the verdict error, with the template in its reason."""

    @flow(on=event_trigger("go"), parameters={"x": "{{ event.payload.absent }}"})
    def work(x: str) -> None: ...

    harness = Harness(work)
    event = make_event("go", {"resource.id": "g"})
    assert harness.send(event) == []
    assert [v.verdict for v in harness.verdicts] == ["error"]
    assert "there is no member 'absent'" in harness.why(event)["work"]


def test_a_loop_ends_at_depth_32() -> None:
    """A flow that starts itself runs 32 times and then the trigger says why not."""

    @flow(on=event_trigger("again"))
    def loop() -> None:
        emit_event("again", {"resource.id": "g"})

    harness = Harness(loop)
    assert len(harness.send(make_event("again", {"resource.id": "g"}))) == 32
    assert harness.verdicts[-1].verdict == "error"


def test_two_flows_of_one_name_are_refused() -> None:
    """The harness refuses two flows of one name."""

    @flow
    def same() -> None: ...

    with pytest.raises(ValueError, match="one name"):
        Harness(same, same)


def test_sys_exit_fails_one_run() -> None:
    """A flow that exits is a failed run, not the end of the test."""

    @flow(on=event_trigger("go"))
    def leave() -> None:
        raise SystemExit(3)

    (run,) = Harness(leave).send(make_event("go", {"resource.id": "g"}))
    assert run.state == "failed"
