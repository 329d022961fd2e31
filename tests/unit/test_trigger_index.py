"""The compiled trigger index."""

import time

import pytest

from flows import definition
from flows.core.index import TriggerIndex
from flows.core.trigger import Trigger
from schemas.record import EventRecord

pytestmark = pytest.mark.unit


def _trigger(name: str, **given: object) -> Trigger:
    return definition.parse(given, flow="f", name=name)


def _event(name: str, resource: str = '{"resource.id":"r"}', related: str = "[]") -> EventRecord:
    return EventRecord(
        id="0" * 36,
        event=name,
        resource_id="r",
        occurred=0,
        received=0,
        resource=resource,
        related=related,
        payload="{}",
        source="",
        causation_id=None,
        correlation_id="0" * 36,
        follows=None,
        replay_of=None,
    )


def test_names_lead_to_the_triggers_that_expect_them() -> None:
    """Exact names, globs, negations and triggers without expect are all found, sorted by name."""
    index = TriggerIndex.compile(
        [
            _trigger("exact", expect=["order.created"]),
            _trigger("glob", expect=["order.*"]),
            _trigger("any"),
            _trigger("not", expect=["!order.created"]),
        ]
    )
    assert [t.name for t in index.by_name("order.created")] == ["any", "exact", "glob"]
    assert [t.name for t in index.by_name("other")] == ["any", "not"]


def test_candidates_satisfy_the_labels_and_carry_their_group() -> None:
    """A candidate's labels match, and its group key holds the values of for_each sorted by label."""
    index = TriggerIndex.compile(
        [
            _trigger("one", expect=["e"], match={"bucket": "landing"}, for_each=["user"]),
            _trigger("two", expect=["e"], match={"bucket": ["landing", "x*"]}, for_each=["user", "bucket"]),
            _trigger("three", expect=["e"], match={"bucket": "other"}),
            _trigger("four", expect=["e"], for_each=["related:owner:name"], enabled=False),
        ]
    )
    event = _event(
        "e",
        '{"resource.id":"r","bucket":"landing","user":"u"}',
        '[{"resource.role":"owner","name":"ann"},{"resource.role":"owner","name":"bob"}]',
    )
    found = [(t.name, key) for t, key in index.candidates(event)]
    assert found == [("four", "ann"), ("one", "u"), ("two", '["landing","u"]')]


def test_two_triggers_of_one_name_are_refused() -> None:
    """A trigger's name is its identity."""
    with pytest.raises(ValueError, match="two triggers are named a"):
        TriggerIndex.compile([_trigger("a"), _trigger("a")])


def test_cost_does_not_grow_with_exact_triggers() -> None:
    """Asking for a name costs the same with 10 and with 20,000 triggers, and so do literal labels."""

    def cost_s(count: int) -> float:
        index = TriggerIndex.compile(
            Trigger(name=f"t{i}", flow="f", expect=base.expect, match=base.match)
            for i in range(count)
            for base in [_trigger("b", expect=[f"event.{i % 100}"], match={"key": f"k{i}"})]
        )
        event = _event("event.7", '{"resource.id":"r","key":"k7"}')
        index.candidates(event)
        best = 1.0
        for _ in range(7):
            start = time.perf_counter()
            for _ in range(200):
                assert len(index.candidates(event)) == 1
                index.by_name("nobody.expects.this")
            best = min(best, time.perf_counter() - start)
        return best

    assert cost_s(20_000) < 5 * cost_s(10)
