"""Prove that a flow runs, and why, without a broker and in virtual time.

    harness = Harness(process_new_file)
    (run,) = harness.send(file_created("landing", "orders.csv"))
    assert run.state == "succeeded"
    assert run.why == "because orders.csv was created in bucket landing (matched …)"

Events go through Avro bytes, the trigger index and the evaluator that the worker uses; runs journal their
tasks as there, so that a retried run skips what has finished. Pauses only move the harness's time.
"""

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel

from flows import call, definition, failure
from flows.context import Recalled, running
from flows.core import identity, lifecycle
from flows.core.index import TriggerIndex
from flows.core.reason import text_of
from flows.core.trigger import Trigger
from flows.decision import decide
from flows.errors import FlowsError
from flows.flow_decorator import Flow
from flows.typed import plain
from schemas.event import ID_LABEL, PREFECT_ID_LABEL, Event, micros
from schemas.event_record import to_event, to_record
from schemas.identity import derived_id
from schemas.record import Candidate, EventRecord, RunRequest, State, Verdict

START = datetime(2026, 1, 1, tzinfo=UTC)
RUNS_MAX = 10_000  # of one send: a chain that grows without end is stopped with a sentence


@dataclass(slots=True, kw_only=True)
class TaskRun:
    """A task call of a run."""

    task: str
    task_key: str
    state: str
    attempts: int = 1
    result: str | None = None
    error: str | None = None


@dataclass(slots=True, kw_only=True)
class Run:
    """A run that ensued.

    Attributes:
        id: Run id, as the worker would derive it.
        flow: Name of the flow.
        trigger: Name of the trigger.
        parameters: What the flow was called with.
        events: All events of the firing.
        why: The reason as one line; `reason` is the tree.
        state: succeeded or failed.
        attempts: How many it took.
        result: What the flow returned.
        error: Type, message and traceback when it failed.
        tasks: Task calls by key, in the order of their first start.
        emitted: Events it emitted, each once.

    """

    id: str
    flow: str
    trigger: str
    parameters: dict[str, Any]
    events: tuple[Event, ...]
    why: str
    reason: dict[str, Any]
    state: str = "running"
    attempts: int = 1
    result: Any = None
    error: dict[str, Any] | None = None
    tasks: dict[str, TaskRun] = field(default_factory=dict)
    emitted: list[Event] = field(default_factory=list)


def make_event(
    event: str,
    resource: Mapping[str, str],
    *,
    payload: Mapping[str, Any] | BaseModel | None = None,
    related: Sequence[Mapping[str, str]] = (),
    occurred: datetime = START,
    id: str | None = None,  # noqa: A002 - the field's name
) -> Event:
    """Return an event for a test; the id, when unset, follows from name, resource and time.

    An instance of a pydantic model as payload becomes the JSON object that such an event carries.
    """
    resource_id = resource.get(ID_LABEL) or resource.get(PREFECT_ID_LABEL) or ""
    if not resource_id:
        raise ValueError(f'event {event}: resource lacks "{ID_LABEL}"')
    return Event(
        id=id or derived_id("test", event, resource_id, micros(occurred)),
        event=event,
        resource_id=resource_id,
        resource=dict(resource),
        occurred=occurred,
        related=tuple(related),
        payload=dict(plain(payload) if payload is not None else {}),
    )


def file_created(bucket: str, key: str, **labels: str) -> Event:
    """Return the event of a new object or file."""
    return _object_event("created", bucket, key, labels)


def file_deleted(bucket: str, key: str, **labels: str) -> Event:
    """Return the event of a deleted object or file."""
    return _object_event("deleted", bucket, key, labels)


def _object_event(verb: str, bucket: str, key: str, labels: Mapping[str, str]) -> Event:
    known = {ID_LABEL: f"s3://{bucket}/{key}", "provider": "test", "bucket": bucket, "key": key}
    return make_event(f"storage.object.{verb}", {**known, **labels})


class Harness:
    """Flows, their triggers and a virtual clock.

    Attributes:
        runs: Every run so far.
        verdicts: What triggers made of events so far, as the worker would write it.
        now: The harness's time.

    """

    def __init__(self, *flows: Flow[..., Any], start: datetime = START) -> None:
        from schemas.codec import fixed_codec

        self._flows = {flow.name: flow for flow in flows}
        if len(self._flows) < len(flows):
            raise ValueError("two flows have one name")
        self._codec = fixed_codec()
        self._index = TriggerIndex.compile(
            definition.parse(trigger, flow=flow.name) for flow in flows for trigger in flow.triggers()
        )
        self._states: dict[tuple[str, str], State] = {}
        self._seen: set[str] = set()
        self._offset = 0
        self._waiting: deque[Event] = deque()
        self.now = start
        self.runs: list[Run] = []
        self.verdicts: list[Verdict] = []

    def send(self, *events: Event) -> list[Run]:
        """Take in events and return the runs that ensued, those of emitted events included."""
        before = len(self.runs)
        self._waiting.extend(events)
        while self._waiting:
            self._take(self._waiting.popleft())
            if len(self.runs) - before > RUNS_MAX:
                raise FlowsError(f"more than {RUNS_MAX} runs ensued: do two flows start one another?")
        return self.runs[before:]

    def advance(self, seconds: float) -> None:
        """Move the time on."""
        self.now += timedelta(seconds=seconds)

    def why(self, event: Event) -> dict[str, str]:
        """Return what each trigger made of an event, by trigger; one that is absent did not match."""
        return {v.trigger: text_of(v.reason) for v in self.verdicts if v.event_id == event.id}

    def _take(self, event: Event) -> None:
        record = to_record(event)
        outcome = "duplicate" if event.id in self._seen else "new"
        self._seen.add(event.id)
        for trigger, group_key in self._index.candidates(record):
            candidate = Candidate(
                id=identity.candidate_id(trigger.name, event.id),
                event=event.event,
                kind="candidate",
                trigger=trigger.name,
                group_key=group_key,
                event_id=event.id,
                events_partition=0,
                events_offset=self._offset,
                triggers_offset=0,
                outcome=outcome,
                body=self._codec.encode(record),
            )
            self._decide(trigger, candidate)

    def _decide(self, trigger: Trigger, candidate: Candidate) -> None:
        key = (trigger.name, candidate.group_key)
        decision = decide(
            trigger,
            self._states.get(key),
            candidate,
            decode=self._decode,
            log_time_us=micros(self.now),
            partition=0,
            offset=self._offset,
        )
        self._offset += 1
        if decision.state is not None:
            self._states[key] = decision.state
        self.verdicts += decision.verdicts
        why = {v.run_id: v.reason for v in decision.verdicts if v.run_id}
        for request in decision.requests:
            self._run(request, why[request.id])

    def _decode(self, framed: bytes) -> EventRecord:
        return self._codec.decode(framed, EventRecord)

    def _run(self, request: RunRequest, reason: str) -> None:
        flow = self._flows[request.flow]
        run = Run(
            id=request.id,
            flow=request.flow,
            trigger=request.trigger,
            parameters=json.loads(request.parameters),
            events=tuple(to_event(self._decode(body)) for body in request.events),
            why=text_of(reason),
            reason=json.loads(reason),
        )
        self.runs.append(run)
        while True:
            try:
                with running(_Context(self, run, request)):
                    run.result = call.call(flow, run.parameters, run.events)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                run.error = failure.describe(error)
                pause_s = flow.retry.pause_s(run.attempts)
                run.state = _next(run.state, "failed" if pause_s is None else "retrying")
                if pause_s is None:
                    return
                self.advance(pause_s)
                run.attempts += 1
                run.state = _next(run.state, "running")
            else:
                run.state, run.error = _next(run.state, "succeeded"), None
                return

    def _emitted(self, run: Run, event: Event) -> None:
        if event.id not in {one.id for one in run.emitted}:
            run.emitted.append(event)
            self._waiting.append(event)


def _next(state: str, following: str) -> str:
    """Hold the harness to the worker's life cycle."""
    if not lifecycle.run_may(state, following):
        raise FlowsError(f"a run cannot go from {state} to {following}")
    return following


class _Context:
    """A run's context whose journal is the `Run` itself."""

    def __init__(self, harness: Harness, run: Run, request: RunRequest) -> None:
        self.run_id = run.id
        self.flow = run.flow
        self.attempt = run.attempts
        self.correlation_id = request.correlation_id
        self.depth = request.depth
        self._harness = harness
        self._run = run
        self._finished = {key: one for key, one in run.tasks.items() if one.state == "succeeded"}

    def recall(self, task_key: str) -> Recalled | None:
        one = self._finished.get(task_key)
        return Recalled(result=one.result) if one else None

    def task_started(self, *, task: str, task_key: str, attempt: int) -> None:
        one = self._run.tasks.setdefault(task_key, TaskRun(task=task, task_key=task_key, state="running"))
        one.state, one.attempts = "running", attempt

    def task_finished(
        self, *, task: str, task_key: str, attempt: int, state: str, result: str | None, error: str | None
    ) -> None:
        del task, attempt
        one = self._run.tasks[task_key]
        one.state, one.result, one.error = state, result, error

    def emit(self, event: Event) -> Event:
        self._harness._emitted(self._run, event)  # noqa: SLF001 - one concept, two classes
        return event

    def now(self) -> datetime:
        return self._harness.now

    def pause(self, seconds: float) -> None:
        self._harness.advance(seconds)
