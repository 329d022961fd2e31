"""A chain of two runs as records, for tests of what is read from the store."""

from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.event import micros
from schemas.new_id import new_id
from schemas.record import DeadLetter, RunLog, TaskLog, Trigger, Verdict
from schemas.topics import Topics, topics
from streams.kafka.memory import MemoryLog
from streams.kafka.record import Outgoing
from tests.connected.store_rows import CODEC, append, event, memory_log

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Story:
    """A file arrives, a run loads it and emits, a second run reports."""

    def __init__(self) -> None:
        self.own: Topics = topics("story.", 2)
        self.log: MemoryLog = memory_log(self.own)
        self.file, self.processed = new_id(), new_id()
        self.firings = (new_id(), new_id())
        self.runs = (new_id(), new_id())
        self.tasks = (new_id(), new_id())
        self._events()
        for n, (cause, flow) in enumerate(((self.file, "process_new_file"), (self.processed, "report"))):
            self._verdict(n, cause, flow)
            self._run(n, cause, flow)
        self._others()

    def at(self, ms: int) -> int:
        """µs of `ms` after the start."""
        return micros(START + timedelta(milliseconds=ms))

    def _events(self) -> None:
        first = event(id=self.file, occurred=self.at(0), received=self.at(2), correlation_id=self.file)
        second = event(
            id=self.processed,
            event="custom.file_processed",
            resource_id="file.a.csv",
            resource='{"resource.id":"file.a.csv"}',
            occurred=self.at(300),
            received=self.at(300),
            causation_id=self.runs[0],
            correlation_id=self.file,
        )
        others = [event(occurred=self.at(n), event="noise.other", resource_id=f"r{n}") for n in range(5)]
        append(self.log, self.own, [first, second, *others])

    def _put(self, topic: Any, record: object) -> None:
        self.log.append(Outgoing(topic.name, 0, b"k", CODEC.encode(record)))

    def _verdict(self, n: int, cause: str, flow: str) -> None:
        verdict = Verdict(
            id=new_id(),
            event="ensue.trigger.fired",
            trigger=f"{flow}-trigger",
            trigger_version="1",
            flow=flow,
            event_id=cause,
            group_key="",
            verdict="fired",
            reason='{"state":"Triggered"}',
            at=self.at(20 + 300 * n),
            candidates_partition=0,
            candidates_offset=n,
            correlation_id=self.file,
            firing_id=self.firings[n],
            run_id=self.runs[n],
            event_ids=(cause,),
        )
        self._put(self.own.verdicts, verdict)

    def _run(self, n: int, cause: str, flow: str) -> None:
        base = 300 * n
        for seq, state in enumerate(("claimed", "running", "succeeded")):
            run = RunLog(
                id=new_id(),
                event=f"ensue.run.{state}",
                run_id=self.runs[n],
                seq=seq,
                flow=flow,
                flow_version="1",
                trigger=f"{flow}-trigger",
                firing_id=self.firings[n],
                state=state,
                at=self.at(base + 30 + seq),
                requested=self.at(base + 20),
                started=self.at(base + 40),
                ended=self.at(base + 240),
                attempt=1,
                worker="w",
                parameters='{"file_name":"a.csv"}',
                correlation_id=self.file,
                causation_id=cause,
                event_ids=(cause,),
            )
            self._put(self.own.run_log, run)
        task = TaskLog(
            id=new_id(),
            event="ensue.task.succeeded",
            task_run_id=self.tasks[n],
            run_id=self.runs[n],
            flow=flow,
            task="load",
            task_key="load-0",
            seq=1,
            state="succeeded",
            at=self.at(base + 90),
            started=self.at(base + 50),
            ended=self.at(base + 90),
            attempt=1,
            correlation_id=self.file,
        )
        self._put(self.own.task_log, task)

    def _others(self) -> None:
        letter = DeadLetter(
            id=new_id(),
            event="ensue.dead_letter",
            stage="door",
            reason="undecodable",
            error="what",
            raw=b"\xff",
            headers="{}",
            at=self.at(0),
            source="hook",
        )
        trigger = Trigger(
            id=new_id(),
            event="ensue.trigger.deployed",
            name="report-trigger",
            version="1",
            definition='{"expect":["x"]}',
            flow="report",
            flow_version="1",
            flow_definition="{}",
            deployment_id=new_id(),
            published=self.at(0),
            published_by="me",
        )
        self._put(self.own.dead_letters, letter)
        self._put(self.own.triggers, trigger)
