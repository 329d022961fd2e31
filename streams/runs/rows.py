"""What a run writes: journal, run-log, task-log and events, each with ids that follow from the run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flows.core import identity
from schemas.codec import Codec
from schemas.dead_letter import Stage
from schemas.event import DEPTH_MAX
from schemas.identity import derived_id, id_time_ms
from schemas.record import EventRecord, Journal, RunLog, RunRequest, TaskLog
from schemas.shard import shard
from schemas.topics import Topics
from streams.kafka.dead_letter import dead_letter
from streams.kafka.fenced import Row
from streams.kafka.log_record import LogRecord
from streams.runs.steps import EVENT_PREFIX, FINISHED, TERMINAL_SEQ, journal_key

PARAMETERS_CHARS_MAX = 1 << 20  # in the run's log, beside result and error
_LEFT_OUT = '{"…": "parameters of %d characters are left out here; the events have them"}'
EVENTS_OF_ENDS = frozenset({"succeeded", "failed", "timed_out"})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a run at one worker."""

    request: RunRequest
    number: int
    started: int | None = None


class RunRows:
    """Makes the rows of one partition's runs."""

    def __init__(self, partition: int, *, topics: Topics, codec: Codec, worker: str) -> None:
        self.partition = partition
        self._topics = topics
        self._codec = codec
        self._worker = worker

    def step(self, run_id: str, seq: int, kind: str, *, state: str, at: int, **more: Any) -> Journal:
        """Return a step of a run, written by this worker."""
        return Journal(
            id=identity.journal_id(run_id, seq),
            event=EVENT_PREFIX + kind,
            run_id=run_id,
            seq=seq,
            kind=kind,
            at=at,
            worker=self._worker,
            state=state,
            **more,
        )

    def journal(self, item: Journal) -> Row:
        """Return the row of a step."""
        key = journal_key(item.run_id, item.seq)
        return Row(self._topics.journal.name, self.partition, key, self._codec.encode(item))

    def forgotten(self, key: bytes) -> Row:
        """Return the tombstone of a journal row."""
        return Row(self._topics.journal.name, self.partition, key, None)

    def run_log(self, attempt: Attempt, seq: int, state: str, at: int, **more: Any) -> Row:
        """Return a row of the run's log."""
        request = attempt.request
        parameters = request.parameters
        if len(parameters) > PARAMETERS_CHARS_MAX:
            parameters = _LEFT_OUT % len(parameters)
        values: dict[str, Any] = {"worker": self._worker, "started": attempt.started, **more}
        item = RunLog(
            id=identity.run_log_id(request.id, seq),
            event=f"ensue.run.{state}",
            run_id=request.id,
            seq=seq,
            flow=request.flow,
            flow_version=request.flow_version,
            trigger=request.trigger,
            firing_id=request.firing_id,
            state=state,
            at=at,
            requested=request.requested,
            attempt=attempt.number,
            parameters=parameters,
            correlation_id=request.correlation_id,
            causation_id=request.causation_id,
            event_ids=request.event_ids,
            group_key=request.group_key,
            replay_of=request.replay_of,
            **values,
        )
        return Row(self._topics.run_log.name, self.partition, request.id.encode(), self._codec.encode(item))

    def task_log(
        self, request: RunRequest, seq: int, *, task: str, task_key: str, state: str, **more: Any
    ) -> Row:
        """Return a row of the log of a run's tasks."""
        task_run = identity.task_run_id(request.id, task_key)
        item = TaskLog(
            id=identity.task_log_id(task_run, seq),
            event=f"ensue.task.{state}",
            task_run_id=task_run,
            run_id=request.id,
            flow=request.flow,
            task=task,
            task_key=task_key,
            seq=seq,
            state=state,
            correlation_id=request.correlation_id,
            **more,
        )
        return Row(self._topics.task_log.name, self.partition, request.id.encode(), self._codec.encode(item))

    def task_again(self, request: RunRequest, row: Journal) -> Row:
        """Return the log row of a journaled task as it was written, or should have been."""
        return self.task_log(
            request,
            row.seq,
            task=row.task or "",
            task_key=row.task_key or "",
            state=row.state,
            at=row.at,
            attempt=row.attempt,
            started=row.started,
            ended=row.at,
            result=row.result,
            error=row.error,
        )

    def terminal(self, request: RunRequest, decision: Journal) -> Row:
        """Return the last row of a run's log; whoever writes it again writes the same."""
        return self.run_log(
            Attempt(request, decision.attempt, decision.started),
            TERMINAL_SEQ,
            decision.state,
            decision.at,
            worker=decision.worker,
            ended=decision.at,
            result=decision.result,
            error=decision.error,
        )

    def finished(self, decision: Journal, run_log_offset: int) -> Row:
        """Return the row that replaces a run's claim."""
        return self.journal(
            self.step(
                decision.run_id,
                0,
                FINISHED,
                state=decision.state,
                at=decision.at,
                attempt=decision.attempt,
                run_log_offset=run_log_offset,
            )
        )

    def event(self, item: EventRecord) -> Row:
        """Return the row of an event."""
        topic, key = self._topics.events, item.resource_id
        return Row(topic.name, shard(key, topic.partitions), key.encode(), self._codec.encode(item))

    def end_event(self, request: RunRequest, decision: Journal) -> Row | None:
        """Return the event of a run's end; None where the chain is too long to go on."""
        if request.depth >= DEPTH_MAX or decision.state not in EVENTS_OF_ENDS:
            return None
        run_id, name = request.id, f"ensue.run.{decision.state}"
        labels = {
            "resource.id": f"ensue://run/{run_id}",
            "flow": request.flow,
            "trigger": request.trigger,
            "state": decision.state,
        }
        flow = {"resource.id": f"ensue://flow/{request.flow}", "resource.role": "flow"}
        payload = {"attempt": decision.attempt, "flow_version": request.flow_version}
        if decision.error:
            payload["error"] = _told(decision.error)
        return self.event(
            EventRecord(
                id=derived_id("run-event", run_id, decision.state, ms=id_time_ms(run_id) or 0),
                event=name,
                resource_id=labels["resource.id"],
                occurred=decision.at,
                received=decision.at,
                resource=_json(labels),
                related=_json([flow]),
                payload=_json(payload),
                source="ensue",
                causation_id=run_id,
                correlation_id=request.correlation_id,
                follows=None,
                replay_of=request.replay_of,
                depth=request.depth,
            )
        )

    def dead_letter(self, record: LogRecord, reason: str, problem: str) -> Row:
        """Return the dead letter of a request that cannot be one."""
        topic = self._topics.dead_letters
        text = f"{record.place} starts no run: {problem}. The requests after it do; mend it, then retry it"
        letter = dead_letter(record, Stage.RUN, reason=reason, error=text)
        key = letter.id.encode()
        return Row(topic.name, shard(letter.id, topic.partitions), key, self._codec.encode(letter))


def problem(kind: str, message: str) -> str:
    """Return the JSON text of a failure of ours."""
    return _json({"type": kind, "message": message, "traceback": "", "output": ""})


def _told(error: str) -> Mapping[str, str]:
    """Return type and message of a failure's JSON text."""
    try:
        told = json.loads(error)
    except ValueError:
        return {"type": "", "message": error[:1000]}
    return {name: str(told.get(name, ""))[:1000] for name in ("type", "message")}


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
