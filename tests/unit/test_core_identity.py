"""Ids of what the engine makes."""

import pytest

from flows.core import identity
from schemas.identity import derived_id, id_time_ms
from schemas.new_id import new_id

pytestmark = pytest.mark.unit


def test_ids_take_over_the_time_of_what_they_follow_from() -> None:
    """Verdict, firing, run, task, logs and emitted events carry the time of the event that led there."""
    event = new_id(1_800_000_000_123)
    firing = identity.firing_id("t", "", [new_id(5), event])
    run = identity.run_id(firing, "f")
    task = identity.task_run_id(run, "a:0")
    made = [
        identity.verdict_id("t", event, "join"),
        firing,
        run,
        task,
        identity.run_log_id(run, 1),
        identity.task_log_id(task, 1),
        identity.run_event_id(run, "a:0", 0, "e", "r"),
    ]
    assert {id_time_ms(one) for one in made} == {1_800_000_000_123}
    assert len(set(made)) == len(made)


@pytest.mark.parametrize("event_id", ["any text", "x" * 14 + "7" + "x" * 21, derived_id("no time")])
def test_ids_without_a_time_give_ids_without_one(event_id: str) -> None:
    """An event whose id says no time, or is no UUID, leads to ids without a time."""
    assert id_time_ms(identity.firing_id("t", "", [event_id])) is None
