"""Evaluation: a fold over the candidates log. Nothing fires anywhere else, the simplest trigger included.

The same log gives the same verdicts, firings and states, whenever it is read: time is the log's
(now = max(previous now, log time)), ids follow from what they name, and a state row knows the last candidate
it has seen. A trigger with threshold 1 needs no state: its redelivery makes the same ids again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flows.core import identity, predicate, reason
from flows.core.predicate import Condition, LabelMap, Pattern
from flows.core.reason import Matched, Reason
from flows.core.trigger import Trigger
from flows.core.view import EventView, view
from schemas.event import DEPTH_MAX
from schemas.record import Candidate, EventRecord, RunRequest, State, Verdict

HELD_BYTES_MAX = 4 << 20  # a state row and a run request must fit into one Kafka message (8 MiB)


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """A verdict `fired` with all its events, in the order of their arrival."""

    id: str
    run_id: str
    trigger: Trigger
    group_key: str
    group: Mapping[str, str]  # values of for_each
    event_ids: tuple[str, ...]
    events: tuple[bytes, ...]  # in Confluent framing
    occurred_us_min: int
    depth: int  # of the events that the run emits
    correlation_id: str
    causation_id: str
    at_us: int
    scope_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one candidate led to; `state` is the row to write, None when there is nothing to write.

    Verdicts and run requests must be acknowledged before the state is written: a state that knows the
    candidate says nothing a second time.
    """

    state: State | None = None
    verdicts: tuple[Verdict, ...] = ()
    firings: tuple[Firing, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """What the state's `data` says of its held events; their bytes are in `held`."""

    ids: list[str] = field(default_factory=list)
    occurred_us_min: int | None = None
    depth_max: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One candidate under evaluation."""

    trigger: Trigger
    state: State | None
    candidate: Candidate
    body: bytes
    event: EventView
    now_us: int
    partition: int
    offset: int

    def why(self, state: str, **known: Any) -> Reason:
        record = self.event.record
        said = reason.happened(record.event, record.resource_id, self.event.resource)
        return Reason(state=state, event=reason.event_facts(record), happened=said, **known)

    def verdict(self, name: str, stage: str, why: Reason, firing: Firing | None = None) -> Verdict:
        record, scope = self.event.record, self.candidate.scope_id
        return Verdict(
            id=identity.verdict_id(self.trigger.name, record.id, stage, scope),
            event=f"ensue.trigger.{name}",
            trigger=self.trigger.name,
            trigger_version=self.trigger.version,
            flow=self.trigger.flow,
            event_id=record.id,
            group_key=self.candidate.group_key,
            verdict=name,
            reason=reason.as_json(why),
            at=self.now_us,
            candidates_partition=self.partition,
            candidates_offset=self.offset,
            correlation_id=record.correlation_id,
            firing_id=firing.id if firing else None,
            run_id=firing.run_id if firing else None,
            event_ids=firing.event_ids if firing else (),
            replay_of=scope,
        )

    def refused(self, name: str, stage: str, why: Reason) -> Outcome:
        return Outcome(verdicts=(self.verdict(name, stage, why),))


def evaluate(
    trigger: Trigger,
    state: State | None,
    candidate: Candidate,
    event: EventRecord,
    *,
    log_time_us: int,
    partition: int,
    offset: int,
) -> Outcome:
    """Return what `trigger` makes of a candidate.

    Args:
        trigger: The version in force for this candidate.
        state: The row of (trigger, group key), None when there is none.
        candidate: With its body, the framed event.
        event: The body decoded.
        log_time_us: LogAppendTime of the candidate.
        partition: Of the candidates topic.
        offset: In that partition; one the state has already applied changes nothing.

    Raises:
        ValueError: The candidate has no body, is none of this trigger, or its labels are not JSON.

    """
    if candidate.body is None or candidate.trigger != trigger.name:
        raise ValueError(
            f"candidate {candidate.id} (partition {partition}, offset {offset}) is for trigger "
            f"{candidate.trigger!r} and {'has' if candidate.body else 'lacks'} its event; "
            f"asked was {trigger.name}"
        )
    if state is not None and offset <= state.candidates_offset:
        return Outcome()
    now_us = log_time_us if state is None else max(state.now, log_time_us)
    step = _Step(
        trigger=trigger,
        state=state,
        candidate=candidate,
        body=candidate.body,
        event=view(event),
        now_us=now_us,
        partition=partition,
        offset=offset,
    )
    if candidate.outcome == "duplicate":
        return step.refused("duplicate", "dedupe", step.why("Duplicate"))
    matched = _matched(trigger, step.event)
    if matched is None:
        return step.refused("dropped", "match", step.why("NotMatched"))
    if not trigger.enabled:
        return step.refused("paused", "match", step.why("Paused", matched=matched))
    if event.depth >= DEPTH_MAX:
        # Not `limited`: a chain this long is a loop, a mistake in somebody's flows and no flow control.
        problem = (
            f"event {event.id} stands at depth {event.depth} of its chain; from {DEPTH_MAX} on nothing fires"
        )
        return step.refused("error", "guard", step.why("LoopGuard", problem=problem, matched=matched))
    return _joined(step, matched)


def run_request(firing: Firing, parameters: str) -> RunRequest:
    """Return the request of a firing's run; `parameters` is a JSON object as text."""
    trigger = firing.trigger
    return RunRequest(
        id=firing.run_id,
        event="ensue.run.requested",
        flow=trigger.flow,
        flow_version=trigger.flow_version,
        trigger=trigger.name,
        trigger_version=trigger.version,
        firing_id=firing.id,
        event_ids=firing.event_ids,
        group_key=firing.group_key,
        parameters=parameters,
        events=firing.events,
        requested=firing.at_us,
        event_occurred=firing.occurred_us_min,
        correlation_id=firing.correlation_id,
        causation_id=firing.causation_id,
        replay_of=firing.scope_id,
        depth=firing.depth,
        pool=trigger.pool,
    )


def failed(fired: Verdict, problem: str) -> Verdict:
    """Return the verdict `error` in place of one that fired but whose run could not be requested.

    It keeps the id: it is still the answer of this stage to this event.
    """
    tree = json.loads(fired.reason)
    tree |= {"state": "Template", "problem": problem, "text": f"{problem} ({tree['happened']})"}
    why = json.dumps(tree, separators=(",", ":"), ensure_ascii=False)
    return replace(
        fired, event="ensue.trigger.error", verdict="error", reason=why, firing_id=None, run_id=None
    )


def _joined(step: _Step, matched: tuple[Matched, ...]) -> Outcome:
    """Count the event in: hold it or fire with all that were held."""
    trigger, record = step.trigger, step.event.record
    held, bodies = _held(step.state)
    ids = [*held.ids, record.id]
    group = trigger.group(step.event)
    size_bytes = sum(len(body) for body in bodies) + len(step.body)
    if bodies and size_bytes > HELD_BYTES_MAX:
        problem = (
            f"event {record.id} was not counted: with it the {len(ids)} events held would take {size_bytes} "
            f"bytes, more than {HELD_BYTES_MAX}; lower the threshold or send smaller payloads"
        )
        return step.refused(
            "error", "join", step.why("TooLarge", problem=problem, matched=matched, group=group)
        )
    known: dict[str, Any] = {
        "matched": matched,
        "group": group,
        "count": len(ids),
        "threshold": trigger.threshold,
        "event_ids": tuple(ids),
    }
    occurred_us_min = min(record.occurred, held.occurred_us_min or record.occurred)
    depth_max = max(record.depth, held.depth_max)
    if len(ids) < trigger.threshold:
        data = {"ids": ids, "occurred_us_min": occurred_us_min, "depth_max": depth_max}
        verdict = step.verdict("waiting", "join", step.why("Waiting", **known))
        return Outcome(state=_row(step, data, (*bodies, step.body)), verdicts=(verdict,))
    number = identity.firing_id(trigger.name, step.candidate.group_key, ids, scope_id=step.candidate.scope_id)
    firing = Firing(
        id=number,
        run_id=identity.run_id(number, trigger.flow),
        trigger=trigger,
        group_key=step.candidate.group_key,
        group=group,
        event_ids=tuple(ids),
        events=(*bodies, step.body),
        occurred_us_min=occurred_us_min,
        depth=depth_max + 1,
        correlation_id=record.correlation_id,
        causation_id=record.id,
        at_us=step.now_us,
        scope_id=step.candidate.scope_id,
    )
    verdict = step.verdict("fired", "join", step.why("Triggered", **known), firing)
    emptied = _row(step, {}, ()) if trigger.threshold > 1 or bodies else None
    return Outcome(state=emptied, verdicts=(verdict,), firings=(firing,))


def _held(state: State | None) -> tuple[_Held, tuple[bytes, ...]]:
    data = json.loads(state.data) if state is not None else {}
    return (_Held(**data), state.held) if state is not None and data else (_Held(), ())


def _row(step: _Step, data: Mapping[str, Any], held: tuple[bytes, ...]) -> State:
    key = step.candidate.group_key
    return State(
        id=identity.state_id(step.trigger.name, key),
        event="ensue.state",
        trigger=step.trigger.name,
        trigger_version=step.trigger.version,
        group_key=key,
        candidates_offset=step.offset,
        now=step.now_us,
        data=json.dumps(data, separators=(",", ":")),
        held=held,
    )


def _matched(trigger: Trigger, event: EventView) -> tuple[Matched, ...] | None:
    """Return the conditions that held, for the reason; None when the trigger does not match."""
    name = event.record.event
    found: list[Matched] = []
    if trigger.expect:
        pattern = predicate.first_accepting(trigger.expect, name)
        if pattern is None:
            return None
        found.append(Matched(where="expect", label="", pattern=pattern.text, value=name))
    if not trigger.accepts_labels(event):
        return None
    found += _conditions("match", trigger.match, event.resource)
    for wanted in trigger.match_related:
        labels = next((one for one in event.related if predicate.accepts(wanted, one)), {})
        found += _conditions("match_related", wanted, labels)
    return tuple(found)


def _conditions(where: str, wanted: LabelMap, labels: Mapping[str, str]) -> list[Matched]:
    return [
        Matched(
            where=where,
            label=match.label,
            pattern=_text(match.accepted_by(labels)),
            value=predicate.lookup(labels, match.label) or "",
        )
        for match in wanted
    ]


def _text(condition: Condition | None) -> str:
    if isinstance(condition, Pattern):
        return condition.text
    return "is there" if condition is not None and condition.wanted else "is not there"
