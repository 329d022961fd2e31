"""One attempt of a run, as the engine hands it to the executor, and what comes back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from flows.context import Recalled
from schemas.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One attempt of a run.

    Attributes:
        run_id: The run.
        flow: Name of the flow.
        file: Path of the flow's file.
        version: The version of the file that the run was requested for.
        parameters: What the flow is called with, a JSON object (parsed).
        events: All events of the firing, in their order.
        recalled: Tasks that finished in earlier attempts, by task key.
        attempt: Number of the attempt, from 1.
        timeout_s: Limit of this attempt.
        correlation_id: Id of the chain's first event.
        depth: Chain depth of the events that the run emits.

    """

    run_id: str
    flow: str
    file: str
    version: str
    correlation_id: str
    timeout_s: float
    parameters: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    recalled: Mapping[str, Recalled] = field(default_factory=dict)
    attempt: int = 1
    depth: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """What became of an attempt.

    Attributes:
        state: succeeded, failed, timed_out, or parked: the file on disk has not the run's version.
        result: JSON text of what the flow returned; None when it is not JSON or there is none.
        error: JSON text of type, message, traceback and output; for a parked run its message says why.
        output: What was printed, the middle left out beyond the bound.
        started_us: When the flow's first line ran; None when it did not come to that.
        ended_us: When the attempt ended.

    """

    state: str
    ended_us: int
    result: str | None = None
    error: str | None = None
    output: str = ""
    started_us: int | None = None


class RunCallbacks(Protocol):
    """What the engine does while an attempt goes on.

    An exception from any of them ends the attempt: its process is stopped and `Executor.run` raises that
    exception. The one exception is `emit`: BadInput, Poison and Overload are raised in the user's code.
    """

    async def on_started(self, at_us: int) -> None:
        """Note that the flow's first line runs now; the flow does not wait for it."""
        ...

    async def task_started(self, *, task: str, task_key: str, attempt: int, at_us: int) -> None:
        """Note that an attempt of a task begins; the flow does not wait for it."""
        ...

    async def task_finished(
        self,
        *,
        task: str,
        task_key: str,
        attempt: int,
        state: str,
        result: str | None,
        error: str | None,
        at_us: int,
    ) -> None:
        """Return once the attempt's end is durable; the flow goes on only then."""
        ...

    async def emit(self, event: Event) -> Event:
        """Return the event once it is acknowledged; the flow goes on only then."""
        ...
