"""What the engine does while an attempt goes on: the executor's callbacks."""

from flows.context import Recalled
from schemas.event import Event
from schemas.event_record import to_event
from schemas.event_type import EventTypes
from schemas.record import RunRequest
from streams.clock import Clock
from streams.errors import BadInput
from streams.runs.emitted import emitted
from streams.runs.group_writer import GroupWriter
from streams.runs.ports import RunLimits
from streams.runs.rows import Attempt, RunRows
from streams.runs.steps import TASK, SoFar, Steps


class TooMuchJournaled(Exception):
    """The results of a run's tasks exceed what its journal may hold."""


class RunCalls:
    """Journals one attempt; see RunCallbacks for when each is called."""

    def __init__(
        self,
        so_far: SoFar,
        steps: Steps,
        *,
        rows: RunRows,
        writer: GroupWriter,
        clock: Clock,
        limits: RunLimits,
        types: EventTypes,
    ) -> None:
        self.started_us: int | None = None
        self._request: RunRequest = so_far.request
        self._so_far = so_far
        self._steps = steps
        self._rows = rows
        self._writer = writer
        self._clock = clock
        self._limits = limits
        self._types = types
        self._begun: dict[str, int] = {}  # by task key, of tasks under way

    async def on_started(self, at_us: int) -> None:
        """Note that the first line runs."""
        self.started_us = at_us
        attempt = Attempt(self._request, self._so_far.attempt, at_us)
        self._writer.put([self._rows.run_log(attempt, self._steps.number(), "running", at_us)])

    async def task_started(self, *, task: str, task_key: str, attempt: int, at_us: int) -> None:
        """Note that a task begins."""
        self._begun[task_key] = at_us
        row = self._rows.task_log(
            self._request,
            self._steps.number(),
            task=task,
            task_key=task_key,
            state="running",
            at=at_us,
            attempt=attempt,
            started=at_us,
        )
        self._writer.put([row])

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
        """Return once the end of a task's attempt is durable."""
        begun = self._begun.pop(task_key, None)
        done = state == "succeeded"
        if done:
            self._keep(task_key, result)
        seq = self._steps.number()
        rows = [
            self._rows.task_log(
                self._request,
                seq,
                task=task,
                task_key=task_key,
                state=state,
                at=at_us,
                attempt=attempt,
                started=begun,
                ended=at_us,
                result=result,
                error=error,
            )
        ]
        if done:
            journaled = self._rows.step(
                self._request.id,
                seq,
                TASK,
                state=state,
                at=at_us,
                attempt=attempt,
                task=task,
                task_key=task_key,
                result=result,
                started=begun,
            )
            rows.insert(0, self._rows.journal(journaled))
            self._steps.seqs.append(seq)
        await self._writer.put(rows)

    def _keep(self, task_key: str, result: str | None) -> None:
        self._so_far.recalled_bytes += len(result or "")
        if self._so_far.recalled_bytes > self._limits.journaled_bytes_max:
            raise TooMuchJournaled(
                f"the results of the run's tasks have more than {self._limits.journaled_bytes_max} bytes "
                f"together (at {task_key}); return less, for example where the data is"
            )
        self._so_far.recalled[task_key] = Recalled(result=result)

    async def emit(self, event: Event) -> Event:
        """Return the event as it is in the log, once it is acknowledged."""
        item = emitted(event, self._request, self._clock.now_us(), self._types.by_name)
        try:
            row = self._rows.event(item)
        except ValueError as error:
            raise BadInput(f"event {event.event!r:.100} cannot be written: {error}") from error
        if len(row.value or b"") > self._limits.event_bytes_max:
            raise BadInput(
                f"event {event.event} has {len(row.value or b'')} bytes, {self._limits.event_bytes_max} are "
                "the most; put the data elsewhere and its place into the payload"
            )
        await self._writer.put([row])
        return to_event(item)
