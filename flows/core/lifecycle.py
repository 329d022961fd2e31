"""States of runs and tasks, and which may follow which."""

RUN_STATES = (
    "requested",
    "claimed",
    "running",
    "waiting",
    "sleeping",
    "retrying",
    "succeeded",
    "failed",
    "cancelled",
    "timed_out",
    "parked",
)
RUN_TERMINAL = frozenset({"succeeded", "failed", "cancelled", "timed_out"})
TASK_STATES = ("running", "retrying", "succeeded", "failed", "timed_out")
TASK_TERMINAL = frozenset({"succeeded", "failed", "timed_out"})

# Any unfinished run may be claimed again: its owner may have died. Parked ones wait for their code.
_RUN_NEXT: dict[str, frozenset[str]] = {
    "requested": frozenset({"claimed", "parked", "cancelled"}),
    "claimed": frozenset({"claimed", "running", "parked", "failed", "cancelled"}),
    "running": frozenset({"claimed", "running", "waiting", "sleeping", "retrying", "parked"}) | RUN_TERMINAL,
    "waiting": frozenset({"claimed", "running", "parked", "failed", "cancelled", "timed_out"}),
    "sleeping": frozenset({"claimed", "running", "parked", "failed", "cancelled", "timed_out"}),
    "retrying": frozenset({"claimed", "running", "parked", "failed", "cancelled"}),
    "parked": frozenset({"claimed", "cancelled"}),
}
_TASK_NEXT: dict[str, frozenset[str]] = {
    "running": frozenset({"running"}) | TASK_TERMINAL | {"retrying"},
    "retrying": frozenset({"running"}),
}


def run_may(state: str, following: str) -> bool:
    """Return whether a run in `state` may go to `following`; nothing follows a terminal state."""
    return following in _RUN_NEXT.get(state, frozenset())


def task_may(state: str, following: str) -> bool:
    """Return whether a task run in `state` may go to `following`.

    Unlike a run, a failed task may run again: in the run's next attempt.
    """
    if state in {"failed", "timed_out"}:
        return following == "running"
    return following in _TASK_NEXT.get(state, frozenset())
