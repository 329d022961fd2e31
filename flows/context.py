"""The run that the current code is part of, as a port.

The worker's child process and the testing harness implement it; `@task` and `emit_event` ask it and know
nothing of Kafka.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Protocol

from schemas.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """A task that finished in an earlier attempt; it is not run again."""

    result: str | None  # JSON text; None when the result was not JSON and the task must run again


class RunContext(Protocol):
    """What a run offers to the code inside it. Every call may block until the record is durable."""

    run_id: str
    flow: str
    attempt: int
    correlation_id: str
    depth: int

    def recall(self, task_key: str) -> Recalled | None:
        """Return the finished task of this key from the journal, or None; never blocks."""
        ...

    def task_started(self, *, task: str, task_key: str, attempt: int) -> None:
        """Note that an attempt of a task begins (not awaited by durability)."""
        ...

    def task_finished(
        self, *, task: str, task_key: str, attempt: int, state: str, result: str | None, error: str | None
    ) -> None:
        """Journal an attempt's end (succeeded, failed, timed_out, retrying); returns once durable."""
        ...

    def emit(self, event: Event) -> Event:
        """Publish an event of this run; returns once acknowledged, waiting up to the run's timeout."""
        ...

    def now(self) -> datetime:
        """Return the time, in UTC; virtual in the harness."""
        ...

    def pause(self, seconds: float) -> None:
        """Wait between two attempts of a task; the harness only moves its time."""
        ...


@dataclass(slots=True)
class Frame:
    """Where in a run the code stands: in the flow itself or in one attempt of a task.

    It counts calls so that each has an identity that is the same in every attempt (DESIGN 5.12).
    """

    task_key: str = ""  # empty in the flow itself
    _calls: dict[str, int] = field(default_factory=dict)
    _emitted: int = 0
    _lock: Lock = field(default_factory=Lock, repr=False)

    def next_task_key(self, task: str) -> str:
        """Return the key of the next call of `task` from here: name and ordinal, behind the caller's key."""
        with self._lock:
            ordinal = self._calls[task] = self._calls.get(task, -1) + 1
        return f"{self.task_key}/{task}:{ordinal}" if self.task_key else f"{task}:{ordinal}"

    def next_emitted(self) -> int:
        """Return the ordinal of the next event emitted from here."""
        with self._lock:
            self._emitted += 1
            return self._emitted - 1


@dataclass(frozen=True, slots=True)
class _Place:
    run: RunContext
    frame: Frame


_CURRENT: ContextVar[_Place | None] = ContextVar("ensue_run", default=None)
_everywhere: _Place | None = None  # for threads that the user's code starts: they inherit no context variable


def current_run() -> RunContext | None:
    """Return the run that this code is part of, or None in plain Python."""
    place = _CURRENT.get() or _everywhere
    return place.run if place else None


def current_frame() -> Frame:
    """Return where in the run this code stands; raises LookupError outside a run."""
    place = _CURRENT.get() or _everywhere
    if place is None:
        raise LookupError("no run is going on here")
    return place.frame


@contextmanager
def running(context: RunContext, *, everywhere: bool = False) -> Iterator[RunContext]:
    """Make `context` the current run within the block, with counts from zero.

    `everywhere` makes it so for all threads of the process: right where a process has one run at a time.
    """
    global _everywhere  # noqa: PLW0603 - one process, one run
    place, before = _Place(context, Frame()), _everywhere
    token = _CURRENT.set(place)
    if everywhere:
        _everywhere = place
    try:
        yield context
    finally:
        _CURRENT.reset(token)
        _everywhere = before


@contextmanager
def inside_task(task_key: str) -> Iterator[None]:
    """Make one attempt of a task the current frame; its ordinals start at zero in each attempt."""
    place = _CURRENT.get() or _everywhere
    if place is None:
        raise LookupError("no run is going on here")
    token = _CURRENT.set(_Place(place.run, Frame(task_key)))
    try:
        yield
    finally:
        _CURRENT.reset(token)
