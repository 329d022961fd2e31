"""Records of every topic but events: field for field the .avsc file of the same name.

Times are whole µs since the epoch, UTC (`datetime` costs ten times as much); JSON travels as text;
`id` is first, the event name second in every schema (readers peek them off the bytes).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """The bytes' view of an event; `schemas.event.Event` is a person's."""

    id: str
    event: str
    resource_id: str
    occurred: int
    received: int
    resource: str
    related: str
    payload: str
    source: str
    causation_id: str | None
    correlation_id: str
    follows: str | None
    replay_of: str | None
    depth: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    id: str
    event: str
    kind: str
    trigger: str
    group_key: str
    event_id: str | None
    events_partition: int
    events_offset: int
    triggers_offset: int
    outcome: str
    due: int | None = None
    body: bytes | None = None
    scope_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    id: str
    event: str
    trigger: str
    trigger_version: str
    group_key: str
    candidates_offset: int
    now: int
    data: str
    held: tuple[bytes, ...] = ()
    pending: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    id: str
    event: str
    flow: str
    flow_version: str
    trigger: str
    trigger_version: str
    firing_id: str | None
    parameters: str
    requested: int
    event_occurred: int
    correlation_id: str
    causation_id: str | None
    event_ids: tuple[str, ...] = ()
    group_key: str = ""
    events: tuple[bytes, ...] = ()
    replay_of: str | None = None
    depth: int = 0
    pool: str = "default"
    start_after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    id: str
    event: str
    run_id: str
    seq: int
    kind: str
    at: int
    worker: str
    state: str
    attempt: int = 1
    request: bytes | None = None
    task_run_id: str | None = None
    task: str | None = None
    task_key: str | None = None
    result: str | None = None
    error: str | None = None
    run_log_offset: int | None = None
    started: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    id: str
    event: str
    trigger: str
    trigger_version: str
    flow: str
    event_id: str
    group_key: str
    verdict: str
    reason: str
    at: int
    candidates_partition: int
    candidates_offset: int
    correlation_id: str
    firing_id: str | None = None
    run_id: str | None = None
    event_ids: tuple[str, ...] = ()
    replay_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLog:
    id: str
    event: str
    run_id: str
    seq: int
    flow: str
    flow_version: str
    trigger: str
    firing_id: str | None
    state: str
    at: int
    requested: int
    attempt: int
    worker: str
    parameters: str
    correlation_id: str
    causation_id: str | None
    event_ids: tuple[str, ...] = ()
    group_key: str = ""
    started: int | None = None
    ended: int | None = None
    result: str | None = None
    error: str | None = None
    replay_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLog:
    id: str
    event: str
    task_run_id: str
    run_id: str
    flow: str
    task: str
    task_key: str
    seq: int
    state: str
    at: int
    attempt: int
    correlation_id: str
    started: int | None = None
    ended: int | None = None
    result: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    id: str
    event: str
    stage: str
    reason: str
    error: str
    raw: bytes
    headers: str
    at: int
    source: str
    from_topic: str | None = None
    from_partition: int | None = None
    from_offset: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    id: str
    event: str
    name: str
    version: str
    definition: str
    flow: str
    flow_version: str
    flow_definition: str
    deployment_id: str
    published: int
    published_by: str
    removed: bool = False
