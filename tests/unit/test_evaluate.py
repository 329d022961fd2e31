"""Evaluation of single candidates and of runs of candidates."""

import json
from dataclasses import replace

import pytest

from flows import definition
from flows.core import evaluate as module
from flows.core import identity, reason
from flows.core.evaluate import evaluate, run_request
from flows.core.trigger import Trigger
from schemas.event import DEPTH_MAX
from schemas.identity import derived_id
from schemas.record import Candidate, EventRecord, State

pytestmark = pytest.mark.unit
LABELS = {"resource.id": "s3://landing/orders.csv", "bucket": "landing", "key": "orders.csv"}


def event(number: int = 1, *, depth: int = 0, occurred: int = 1000, **labels: str) -> EventRecord:
    """Return a file event."""
    key = derived_id("test", number)
    return EventRecord(
        id=key,
        event="storage.object.created",
        resource_id=LABELS["resource.id"],
        occurred=occurred,
        received=occurred,
        resource=json.dumps({**LABELS, **labels}),
        related="[]",
        payload="{}",
        source="",
        causation_id=None,
        correlation_id=key,
        follows=None,
        replay_of=None,
        depth=depth,
    )


def candidate(trigger: Trigger, item: EventRecord, *, outcome: str = "new", body: bytes = b"") -> Candidate:
    """Return the candidate that a router would write."""
    return Candidate(
        id=identity.candidate_id(trigger.name, item.id),
        event=item.event,
        kind="candidate",
        trigger=trigger.name,
        group_key="",
        event_id=item.id,
        events_partition=0,
        events_offset=0,
        triggers_offset=0,
        outcome=outcome,
        body=body or item.id.encode(),
    )


def step(
    trigger: Trigger,
    state: State | None,
    item: EventRecord,
    offset: int,
    at: int = 5000,
    outcome: str = "new",
) -> module.Outcome:
    """Evaluate one event at an offset."""
    wanted = candidate(trigger, item, outcome=outcome)
    return evaluate(trigger, state, wanted, item, log_time_us=at, partition=3, offset=offset)


def trigger(threshold: int = 1, **more: object) -> Trigger:
    """Return a trigger on CSV files."""
    given = {"expect": ["storage.object.created"], "match": {"key": "*.csv"}, "threshold": threshold, **more}
    return definition.parse(given, flow="load", name="files", flow_version="v1")


def test_threshold_one_fires_without_state() -> None:
    """A simple trigger fires on each match, writes no state, and its redelivery makes the same ids."""
    first = step(trigger(), None, event(), 10)
    again = step(trigger(), None, event(), 10)
    assert first == again
    assert first.state is None
    (verdict,), (firing,) = first.verdicts, first.firings
    assert verdict.verdict == "fired"
    assert (verdict.candidates_partition, verdict.candidates_offset, verdict.at) == (3, 10, 5000)
    assert (verdict.firing_id, verdict.run_id, verdict.event_ids) == (firing.id, firing.run_id, (event().id,))
    assert firing.run_id == identity.run_id(firing.id, "load")
    assert firing.id == identity.firing_id("files", "", [event().id])


def test_the_reason_is_a_value_with_its_sentence() -> None:
    """A verdict's reason names what happened and which conditions held."""
    (verdict,) = step(trigger(), None, event(), 10).verdicts
    tree = json.loads(verdict.reason)
    assert tree["text"] == (
        "because orders.csv was created in bucket landing (matched expect storage.object.created, key *.csv)"
    )
    assert tree["text"] == reason.text_of(verdict.reason)
    assert tree["state"] == "Triggered"
    assert tree["matched"][1] == {
        "where": "match",
        "label": "key",
        "pattern": "*.csv",
        "value": "orders.csv",
    }


def test_threshold_fires_with_all_its_events_in_order() -> None:
    """Threshold 3 waits twice, then fires with the three events in order of arrival, and starts again."""
    state, wanted = None, trigger(3)
    for number in (1, 2):
        outcome = step(wanted, state, event(number, occurred=1000 - number), number)
        assert [v.verdict for v in outcome.verdicts] == ["waiting"]
        assert outcome.firings == ()
        state = outcome.state
        assert state is not None
        assert (state.candidates_offset, len(state.held)) == (number, number)
    outcome = step(wanted, state, event(3), 7)
    (firing,) = outcome.firings
    assert firing.event_ids == tuple(event(n).id for n in (1, 2, 3))
    assert firing.events == tuple(event(n).id.encode() for n in (1, 2, 3))
    assert firing.occurred_us_min == 998
    assert outcome.state is not None
    assert (outcome.state.held, outcome.state.candidates_offset) == ((), 7)
    assert [v.verdict for v in step(wanted, outcome.state, event(4), 8).verdicts] == ["waiting"]


def test_a_candidate_already_applied_changes_nothing() -> None:
    """Redelivery at or below the state's offset gives neither state nor verdict nor firing."""
    state = step(trigger(2), None, event(1), 5).state
    assert step(trigger(2), state, event(1), 5) == module.Outcome()
    assert step(trigger(2), state, event(9), 4) == module.Outcome()


def test_a_crash_between_firing_and_state_repeats_the_same_firing() -> None:
    """Evaluated again over the old state, the last event makes the identical outcome."""
    state = step(trigger(2), None, event(1), 1).state
    assert step(trigger(2), state, event(2), 2) == step(trigger(2), state, event(2), 2)


def test_now_never_goes_back() -> None:
    """The time of a step is the larger of the state's and the log's."""
    state = step(trigger(2), None, event(1), 1, at=9000).state
    (verdict,) = step(trigger(2), state, event(2), 2, at=4000).verdicts
    assert verdict.at == 9000


def test_duplicates_are_not_counted() -> None:
    """A duplicate gets its verdict and leaves the count alone."""
    state = step(trigger(2), None, event(1), 1).state
    outcome = step(trigger(2), state, event(1), 2, outcome="duplicate")
    assert [v.verdict for v in outcome.verdicts] == ["duplicate"]
    assert (outcome.state, outcome.firings) == (None, ())


def test_paused_loops_and_changed_triggers_say_so() -> None:
    """A paused trigger, a chain of depth 32 and a trigger that no longer matches each have a verdict."""
    assert step(trigger(enabled=False), None, event(), 1).verdicts[0].verdict == "paused"
    looping = step(trigger(), None, event(depth=DEPTH_MAX), 1)
    assert looping.verdicts[0].verdict == "error"
    assert f"depth {DEPTH_MAX}" in reason.text_of(looping.verdicts[0].reason)
    assert step(trigger(), None, event(depth=DEPTH_MAX - 1), 1).firings[0].depth == DEPTH_MAX
    assert step(trigger(), None, event(key="x.txt"), 1).verdicts[0].verdict == "dropped"


def test_held_events_are_bounded() -> None:
    """An event that would make the held ones too large is refused with a reason and not counted."""
    wanted = trigger(3)
    big = candidate(wanted, event(1), body=b"x" * (module.HELD_BYTES_MAX - 10))
    state = evaluate(wanted, None, big, event(1), log_time_us=1, partition=0, offset=1).state
    outcome = step(wanted, state, event(2), 2)
    assert outcome.state is None
    assert outcome.verdicts[0].verdict == "error"
    assert "was not counted" in reason.text_of(outcome.verdicts[0].reason)


def test_a_lower_threshold_releases_what_was_held() -> None:
    """When a new version lowers the threshold, the next event fires with everything held."""
    state = step(trigger(5), None, event(1), 1).state
    state = step(trigger(5), state, event(2), 2).state
    outcome = step(trigger(1), state, event(3), 3)
    assert len(outcome.firings[0].event_ids) == 3
    assert outcome.state is not None
    assert outcome.state.held == ()


def test_the_version_is_no_part_of_a_firing() -> None:
    """Two versions of a trigger make the same firing id of the same events."""
    one, other = trigger(), replace(trigger(), version="other")
    assert step(one, None, event(), 1).firings[0].id == step(other, None, event(), 1).firings[0].id


def test_a_firing_becomes_a_run_request() -> None:
    """The request carries ids, cause, chain and the earliest time of its events."""
    (firing,) = step(trigger(), None, event(depth=4), 1).firings
    request = run_request(firing, '{"a":1}')
    assert (request.id, request.flow, request.flow_version) == (firing.run_id, "load", "v1")
    assert (request.causation_id, request.depth, request.requested) == (event().id, 5, 5000)
    assert request.event_occurred == 1000


def test_a_candidate_of_another_trigger_is_refused() -> None:
    """Evaluating a candidate that is not the trigger's own is a mistake that is said."""
    wanted = replace(candidate(trigger(), event()), trigger="other")
    with pytest.raises(ValueError, match="asked was files"):
        evaluate(trigger(), None, wanted, event(), log_time_us=1, partition=0, offset=1)
