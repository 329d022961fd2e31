"""Evaluation is a fold: crashes and redelivery change nothing."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows import definition
from flows.core import identity
from flows.core.evaluate import Outcome, evaluate
from schemas.identity import derived_id
from schemas.record import Candidate, EventRecord, State

pytestmark = pytest.mark.property


def _event(number: int) -> EventRecord:
    key = derived_id("event", number)
    return EventRecord(
        id=key,
        event="e",
        resource_id="r",
        occurred=number,
        received=number,
        resource=json.dumps({"resource.id": "r"}),
        related="[]",
        payload="{}",
        source="",
        causation_id=None,
        correlation_id=key,
        follows=None,
        replay_of=None,
    )


def _step(threshold: int, state: State | None, number: int, offset: int, outcome: str) -> Outcome:
    trigger = definition.parse({"expect": ["e"], "threshold": threshold}, flow="f", name="t")
    item = _event(number)
    candidate = Candidate(
        id=identity.candidate_id("t", item.id),
        event="e",
        kind="candidate",
        trigger="t",
        group_key="",
        event_id=item.id,
        events_partition=0,
        events_offset=offset,
        triggers_offset=0,
        outcome=outcome,
        body=b"%d" % number,
    )
    return evaluate(trigger, state, candidate, item, log_time_us=offset, partition=0, offset=offset)


@settings(max_examples=200, deadline=None)
@given(
    threshold=st.integers(1, 4),
    outcomes=st.lists(st.sampled_from(["new", "new", "new", "duplicate"]), max_size=20),
    data=st.data(),
)
def test_crashes_and_redelivery_change_nothing(
    threshold: int, outcomes: list[str], data: st.DataObject
) -> None:
    """Restarting at any earlier candidate with the stored state gives the firings of an undisturbed fold."""
    log = list(enumerate(outcomes))
    state: State | None = None
    fired: list[str] = []
    for offset, outcome in log:
        result = _step(threshold, state, offset, offset, outcome)
        state = result.state or state
        fired += [f.id for f in result.firings]
    news = [o for o in outcomes if o == "new"]
    assert len(fired) == len(news) // threshold

    stored: State | None = None
    seen: dict[str, None] = {}
    position, crashes = 0, 0
    while position < len(log):
        offset, outcome = log[position]
        result = _step(threshold, stored, offset, offset, outcome)
        seen |= dict.fromkeys(f.id for f in result.firings)  # acknowledged before the state
        crash = crashes < 5 and data.draw(st.booleans())
        if crash:
            crashes += 1
            if data.draw(st.booleans()):
                stored = result.state or stored  # the state was written, the offset was not committed
            position = data.draw(st.integers(0, position))
            if stored is None or threshold == 1 or stored.candidates_offset >= position:
                continue
            position = min(position, stored.candidates_offset + 1)
            continue
        stored = result.state or stored
        position += 1
    assert list(seen) == fired
