"""One turn of a run: one attempt, and when that was the last one, the way to the run's end.

The end in four steps, each acknowledged before the next: the decision (journal), the last row of the run-log,
the event `ensue.run.*`, the row that replaces the claim. Whoever takes the run up in between goes on there
and writes the same again, ids included (docs/protocol.md, Run).
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass

from schemas.codec import Codec, UndecodableError
from schemas.event import Event
from schemas.event_record import to_event
from schemas.record import EventRecord, Journal, RunRequest
from streams.errors import Transport
from streams.runs.calls import RunCalls, TooMuchJournaled
from streams.runs.child_job import Job, JobResult
from streams.runs.engine import RunEngine
from streams.runs.group_writer import GROUP_MAX, GroupWriter
from streams.runs.ports import FlowFile
from streams.runs.ports import Journal as JournalLog
from streams.runs.rows import Attempt, RunRows, problem
from streams.runs.steps import CLAIMED, STATE, TERMINAL_SEQ, SoFar, Steps, journal_key, so_far


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What follows a turn: nothing when the run has ended.

    Attributes:
        again_s: Seconds until its next turn.
        parked: Flow and version that it waits for.

    """

    again_s: float | None = None
    parked: tuple[str, str] | None = None


ENDED = Outcome()


class Turn:
    """Made for one turn; `take` it once."""

    def __init__(
        self,
        run_id: str,
        steps: Steps,
        *,
        engine: RunEngine,
        rows: RunRows,
        journal: JournalLog,
        writer: GroupWriter,
        release: Callable[[], None],
    ) -> None:
        """`release` gives the slot back; it may be called more than once."""
        self._run_id = run_id
        self._steps = steps
        self._engine = engine
        self._rows = rows
        self._journal = journal
        self._writer = writer
        self._release = release

    async def take(self) -> Outcome:
        """Do what is next for the run. Raises Transport when a service is away or the partition is lost."""
        found = await self._so_far()
        if found.decision is None:
            outcome = await self._attempt(found)
            if outcome is not None:
                return outcome
        self._release()
        await self._finish(found)
        return ENDED

    async def give_up(self, error: Exception) -> Outcome:
        """End the run as failed after an error of ours."""
        found = await self._so_far()
        if found.decision is None:
            text = f"the engine failed again and again with this run: {error!r}; the worker's log tells more"
            await self._decide(found, "failed", error=problem("EngineError", text))
        await self._finish(found)
        return ENDED

    async def _so_far(self) -> SoFar:
        codec, journal = self._engine.codec, self._journal.rows
        for seq in (0, *self._steps.seqs):
            await learn(codec, journal[journal_key(self._run_id, seq)])
        claim = codec.decode(journal[journal_key(self._run_id, 0)], Journal)
        if claim.request is None:
            raise LookupError(f"the claim of run {self._run_id} has no request")
        await learn(codec, claim.request)
        return so_far(codec, codec.decode(claim.request, RunRequest), journal, self._steps.seqs)

    async def _attempt(self, found: SoFar) -> Outcome | None:
        """Make one attempt; return None once the run's end is decided."""
        request, engine = found.request, self._engine
        flow = engine.flows.find(request.flow, request.flow_version)
        if flow is None:
            reason = f"no deployed definition names the flow {request.flow}; deploy its file"
            return await self._park(found, problem("NotDeployed", reason))
        if found.parked and not await engine.flows.available(request.flow, request.flow_version):
            return Outcome(parked=(request.flow, request.flow_version))
        wait_s = self._wait_s(found, flow)
        if wait_s > 0:
            return Outcome(again_s=wait_s)
        if not self._steps.taken and not await self._take_up(found):
            return None
        calls = RunCalls(
            found,
            self._steps,
            rows=self._rows,
            writer=self._writer,
            clock=engine.clock,
            limits=engine.limits,
            types=engine.types,
        )
        try:
            job = await self._job(found, flow)
            engine.counts.attempts += 1
            result = await engine.executor.run(job, calls)
        except (TooMuchJournaled, UndecodableError) as error:
            text = problem(type(error).__name__, str(error))
            await self._decide(found, "failed", error=text, started=calls.started_us)
            return None
        if result.state == "parked":
            return await self._park(found, result.error or "")
        return await self._after(found, flow, result)

    def _wait_s(self, found: SoFar, flow: FlowFile) -> float:
        due_us = found.request.start_after or 0
        if found.paused_us and not self._steps.taken:
            pause_s = flow.retry.pause_s(found.attempt - 1) or 0.0
            due_us = max(due_us, found.paused_us + int(pause_s * 1e6))
        return max(due_us - self._engine.clock.now_us(), 0) / 1e6

    async def _take_up(self, found: SoFar) -> bool:
        """Journal that this worker goes on with the run; False when too many have tried in vain."""
        limits = self._engine.limits
        if found.idle_takes >= limits.takes_max:
            text = (
                f"run {self._run_id} was taken up {found.idle_takes} times without finishing a task: its "
                "workers died or gave it up each time. It is given up; find out why, then retry it"
            )
            await self._decide(found, "failed", error=problem("TakenUpTooOften", text))
            return False
        now_us = self._engine.clock.now_us()
        seq = self._steps.number()
        step = self._rows.step(self._run_id, seq, CLAIMED, state="claimed", at=now_us, attempt=found.attempt)
        # The logs of what is recalled may lack the last rows: its owner died before their acknowledgement.
        again = [self._rows.task_again(found.request, row) for row in found.tasks]
        for at in range(0, len(again), GROUP_MAX):
            await self._writer.put(again[at : at + GROUP_MAX])
        row = self._rows.journal(step)
        self._steps.seqs.append(seq)
        await self._writer.put([row])
        self._steps.taken = True
        self._engine.counts.taken_over += 1
        return True

    async def _job(self, found: SoFar, flow: FlowFile) -> Job:
        request, codec = found.request, self._engine.codec
        events: list[Event] = []
        for framed in request.events:
            await learn(codec, framed)
            events.append(to_event(codec.decode(framed, EventRecord)))
        return Job(
            run_id=request.id,
            flow=request.flow,
            file=flow.file,
            version=request.flow_version,
            correlation_id=request.correlation_id,
            timeout_s=flow.timeout_s or self._engine.limits.run_timeout_s,
            parameters=json.loads(request.parameters),
            events=tuple(events),
            recalled=found.recalled,
            attempt=found.attempt,
            depth=request.depth,
        )

    async def _after(self, found: SoFar, flow: FlowFile, result: JobResult) -> Outcome | None:
        """Decide the run's end, or journal that it is tried again."""
        pause_s = None if result.state == "succeeded" else flow.retry.pause_s(found.attempt)
        if pause_s is None:
            await self._decide(
                found,
                result.state,
                at=result.ended_us,
                result=result.result,
                error=result.error,
                started=result.started_us,
            )
            return None
        self._engine.counts.retried += 1
        await self._state(
            found, "retrying", at=result.ended_us, error=result.error, started=result.started_us
        )
        return Outcome(again_s=pause_s)

    async def _park(self, found: SoFar, reason: str) -> Outcome:
        if not found.parked:
            self._engine.counts.parked += 1
            await self._state(found, "parked", at=self._engine.clock.now_us(), error=reason)
        return Outcome(parked=(found.request.flow, found.request.flow_version))

    async def _state(
        self, found: SoFar, state: str, *, at: int, error: str | None, started: int | None = None
    ) -> None:
        """Journal a state between two attempts, and show it."""
        seq = self._steps.number()
        step = self._rows.step(
            self._run_id, seq, STATE, state=state, at=at, attempt=found.attempt, error=error
        )
        shown = self._rows.run_log(
            Attempt(found.request, found.attempt, started), seq, state, at, error=error
        )
        row = self._rows.journal(step)
        self._steps.seqs.append(seq)
        await self._writer.put([row, shown])

    async def _decide(
        self,
        found: SoFar,
        state: str,
        *,
        at: int | None = None,
        result: str | None = None,
        error: str | None = None,
        started: int | None = None,
    ) -> None:
        """Journal how the run ends: from here on nobody can end it otherwise."""
        step = self._rows.step(
            self._run_id,
            TERMINAL_SEQ,
            STATE,
            state=state,
            at=self._engine.clock.now_us() if at is None else at,
            attempt=found.attempt,
            result=result,
            error=error,
            started=started,
        )
        row = self._rows.journal(step)
        self._steps.seqs.append(TERMINAL_SEQ)
        await self._writer.put([row])
        found.decision = step

    async def _finish(self, found: SoFar) -> None:
        """Tell everywhere how the run has ended, then let go of all but that it has."""
        request, decision = found.request, found.decision
        if decision is None:
            raise AssertionError(f"run {self._run_id} is finished before its end is decided")
        (offset,) = await self._writer.put([self._rows.terminal(request, decision)])
        event = self._rows.end_event(request, decision)
        if event is not None:
            await self._writer.put([event])
        gone = [self._rows.forgotten(journal_key(self._run_id, seq)) for seq in self._steps.seqs]
        await self._writer.put([self._rows.finished(decision, offset), *gone[: GROUP_MAX - 1]])
        for at in range(GROUP_MAX - 1, len(gone), GROUP_MAX):
            await self._writer.put(gone[at : at + GROUP_MAX])
        self._engine.counts.ended[decision.state] += 1


async def learn(codec: Codec, framed: bytes) -> None:
    """Have the codec know the schema of `framed`; raises Transport when the registry does not answer."""
    if not codec.knows(framed):
        try:
            await asyncio.to_thread(codec.learn, framed)
        except OSError as error:
            raise Transport(f"the schema registry does not answer: {error}; it is asked again") from error
