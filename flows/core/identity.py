"""What identifies each thing the engine makes. The same inputs always give the same id (DESIGN 5.2, 5.4).

An id takes over the time in the id it follows from, event → verdict and firing → run → log, task, emitted
event: whoever keeps a window of ids (DESIGN 5.3) then knows that a young one cannot have come long ago, and
need not ask the store for each.
"""

from collections.abc import Sequence

from schemas.identity import derived_id, id_time_ms


def candidate_id(trigger: str, event_id: str, scope_id: str | None = None) -> str:
    """Return the id of a candidate."""
    return derived_id("candidate", trigger, event_id, scope_id)


def state_id(trigger: str, group_key: str) -> str:
    """Return the id of a trigger's state for one group."""
    return derived_id("state", trigger, group_key)


def verdict_id(trigger: str, event_id: str, stage: str, scope_id: str | None = None) -> str:
    """Return the id of what `trigger` made of an event at a stage (dedupe, match, join, guard)."""
    return derived_id("verdict", trigger, event_id, stage, scope_id, ms=_time_ms(event_id))


def firing_id(
    trigger: str,
    group_key: str,
    event_ids: Sequence[str],
    window: str | None = None,
    scope_id: str | None = None,
) -> str:
    """Return the id of a firing, with the last event's time. The trigger's version is data, not identity."""
    ms = _time_ms(event_ids[-1]) if event_ids else 0
    return derived_id("firing", trigger, group_key, window, scope_id, *event_ids, ms=ms)


def run_id(firing: str, flow: str) -> str:
    """Return the id of the run that a firing starts."""
    return derived_id("run", firing, flow, ms=_time_ms(firing))


def task_run_id(run: str, task_key: str) -> str:
    """Return the id of a task call within a run; the same in every attempt."""
    return derived_id("task", run, task_key, ms=_time_ms(run))


def run_event_id(run: str, task_key: str, ordinal: int, event: str, resource_id: str) -> str:
    """Return the id of an event that a run emits: a resumed run emits it once (DESIGN 5.12)."""
    return derived_id("emitted", run, task_key, ordinal, event, resource_id, ms=_time_ms(run))


def journal_id(run: str, seq: int) -> str:
    """Return the id of a journal record."""
    return derived_id("journal", run, seq)


def run_log_id(run: str, seq: int) -> str:
    """Return the id of a run-log record."""
    return derived_id("run-log", run, seq, ms=_time_ms(run))


def task_log_id(task_run: str, seq: int) -> str:
    """Return the id of a task-log record."""
    return derived_id("task-log", task_run, seq, ms=_time_ms(task_run))


def _time_ms(id_text: str) -> int:
    """Return the time in an id, 0 when it has none or is no UUID (in tests any text may be an id)."""
    try:
        return id_time_ms(id_text) or 0
    except ValueError:
        return 0
