"""The run as the code inside a child process sees it: every promise is the worker's, asked over the line."""

import os
import time
from datetime import UTC, datetime

from flows.context import Recalled
from flows.errors import NotEmitted
from schemas.event import Event
from streams.runs.child_job import Job
from streams.runs.child_link import Link
from streams.runs.child_protocol import Message, event_json, event_of


def now_us() -> int:
    """Return µs since the epoch."""
    return time.time_ns() // 1000


class ChildRun:
    """The context of one attempt."""

    def __init__(self, job: Job, link: Link) -> None:
        self.run_id = job.run_id
        self.flow = job.flow
        self.attempt = job.attempt
        self.correlation_id = job.correlation_id
        self.depth = job.depth
        self._recalled = job.recalled
        self._link = link
        self._pid = os.getpid()

    def recall(self, task_key: str) -> Recalled | None:
        """Return the finished task of this key."""
        return self._recalled.get(task_key)

    def task_started(self, *, task: str, task_key: str, attempt: int) -> None:
        """Note the begin of a task."""
        self._own()
        self._link.send(
            {"kind": "note", "task": task, "task_key": task_key, "attempt": attempt, "at_us": now_us()}
        )

    def task_finished(
        self, *, task: str, task_key: str, attempt: int, state: str, result: str | None, error: str | None
    ) -> None:
        """Return once the end of a task is durable."""
        self._call(
            {
                "name": "task_finished",
                "task": task,
                "task_key": task_key,
                "attempt": attempt,
                "state": state,
                "result": result,
                "error": error,
                "at_us": now_us(),
            }
        )

    def emit(self, event: Event) -> Event:
        """Return the event once it is acknowledged; raises NotEmitted when the worker refuses it."""
        answer = self._call({"name": "emit", "event": event_json(event)})
        if answer.get("problem"):
            raise NotEmitted(answer["problem"])
        return event_of(answer["event"])

    def now(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC)

    def pause(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def _call(self, message: Message) -> Message:
        self._own()
        return self._link.call(message)

    def _own(self) -> None:
        """Refuse to speak for the run from a process that the user's code has forked off."""
        if os.getpid() != self._pid:
            raise RuntimeError(
                f"run {self.run_id}: tasks and events belong to the run's own process; "
                "call them there with what the forked one returns"
            )
