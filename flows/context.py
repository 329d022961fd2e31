"""The run that the current code is part of, as a port.

The worker's child process, the testing harness and plain Python implement it; `@task` and `emit_event` ask it
and know nothing of Kafka.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
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
        """Return the finished task of this key from the journal, or None."""
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


_CURRENT: ContextVar[RunContext | None] = ContextVar("ensue_run", default=None)


def current_run() -> RunContext | None:
    """Return the run that this code is part of, or None in plain Python."""
    return _CURRENT.get()


@contextmanager
def running(context: RunContext) -> Iterator[RunContext]:
    """Make `context` the current run within the block."""
    token = _CURRENT.set(context)
    try:
        yield context
    finally:
        _CURRENT.reset(token)
