"""Every stored topic has its table, and the views read the latest state."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from schemas.new_id import new_id
from schemas.record import DeadLetter, RunLog, TaskLog, Trigger, Verdict
from schemas.topics import topics
from streams.kafka.record import Outgoing
from tests.connected.store_process import StoreProcess
from tests.connected.store_rows import CODEC, NOW_US, SinkHarness, memory_log, reader, rows

pytestmark = pytest.mark.connected


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoreProcess]:
    """A store of the test's own."""
    process = StoreProcess(tmp_path / "data").start()
    yield process
    process.stop()


def test_all_stored_topics_have_their_tables(store: StoreProcess) -> None:
    """Verdicts, runs, tasks, dead letters and triggers are stored, and the latest state wins."""
    settings, own = store.settings(), topics("tables.", 4)
    log = memory_log(own)
    run, task, firing, cause = new_id(), new_id(), new_id(), new_id()
    correlation = new_id()
    verdict = Verdict(
        id=new_id(),
        event="ensue.trigger.fired",
        trigger="t",
        trigger_version="1",
        flow="f",
        event_id=cause,
        group_key="",
        verdict="fired",
        reason='{"state":"Triggered"}',
        at=NOW_US,
        candidates_partition=1,
        candidates_offset=2,
        correlation_id=correlation,
        firing_id=firing,
        run_id=run,
        event_ids=(cause,),
    )
    state: dict[str, Any] = {
        "run_id": run,
        "flow": "f",
        "flow_version": "1",
        "trigger": "t",
        "firing_id": firing,
        "requested": NOW_US,
        "attempt": 1,
        "worker": "w",
        "parameters": "{}",
        "correlation_id": correlation,
        "causation_id": cause,
        "event_ids": (cause,),
    }
    steps = [
        RunLog(id=new_id(), event=f"ensue.run.{name}", seq=n, state=name, at=NOW_US + n, **state)
        for n, name in enumerate(("claimed", "running", "succeeded"))
    ]
    tasks = [
        TaskLog(
            id=new_id(),
            event=f"ensue.task.{name}",
            task_run_id=task,
            run_id=run,
            flow="f",
            task="load",
            task_key="load-0",
            seq=n,
            state=name,
            at=NOW_US + n,
            attempt=1,
            correlation_id=correlation,
        )
        for n, name in enumerate(("running", "succeeded"))
    ]
    letter = DeadLetter(
        id=new_id(),
        event="ensue.dead_letter",
        stage="door",
        reason="undecodable",
        error="what",
        raw=b"\x00\xff",
        headers="{}",
        at=NOW_US,
        source="hook",
    )
    trigger = Trigger(
        id=new_id(),
        event="ensue.trigger.deployed",
        name="t",
        version="1",
        definition="{}",
        flow="f",
        flow_version="1",
        flow_definition="{}",
        deployment_id=new_id(),
        published=NOW_US,
        published_by="me",
    )
    for topic, records in (
        (own.verdicts, [verdict]),
        (own.run_log, steps),
        (own.task_log, tasks),
        (own.dead_letters, [letter]),
        (own.triggers, [trigger]),
    ):
        for record in records:
            log.append(Outgoing(topic.name, 0, b"k", CODEC.encode(record)))
    SinkHarness(log, own, settings).drain()
    ask = reader(settings)
    assert rows(ask, f"SELECT toString(id), run_id FROM firings WHERE id = '{firing}'") == [
        (firing, UUID(run))
    ]
    assert rows(ask, f"SELECT state, attempt FROM runs WHERE id = '{run}'") == [("succeeded", 1)]
    assert rows(ask, f"SELECT count() FROM run_log WHERE run_id = '{run}'") == [(3,)]
    assert rows(ask, f"SELECT task, state FROM task_runs WHERE run_id = '{run}'") == [("load", "succeeded")]
    assert rows(ask, f"SELECT hex(raw) FROM dead_letters WHERE id = '{letter.id}'") == [("00FF",)]
    assert rows(ask, f"SELECT name, removed FROM triggers WHERE id = '{trigger.id}'") == [("t", False)]
    edges = rows(
        ask, f"SELECT kind, toString(cause_id) FROM causes WHERE id IN ('{run}', '{task}', '{firing}')"
    )
    assert sorted(edges) == [("firing", cause), ("run", firing), ("task_run", run)]
    effects = rows(ask, f"SELECT effect_kind, toString(effect_id) FROM effects WHERE id = '{firing}'")
    assert effects == [("run", run)]
