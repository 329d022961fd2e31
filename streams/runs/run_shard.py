"""The owner of one partition of `runs`: requests in, claims, runs, ends out (DESIGN 5.8 to 5.10).

A `Shard` of streams.agents.shard, made anew each time the partition is taken: `RunShard(partition, engine)`.
How the engine is made says streams.runs.engine. Records are finished once their claims are acknowledged; no
record is held while a flow runs.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from schemas.codec import UndecodableError
from schemas.record import Journal, RunRequest
from schemas.shard import shard
from streams.errors import Overload, Poison, Transport
from streams.kafka.fenced import FencedProducer, Row
from streams.kafka.log_record import LogRecord
from streams.runs.engine import RunEngine
from streams.runs.executor import ExecutorStopped
from streams.runs.group_writer import GROUP_MAX, GroupWriter
from streams.runs.look_ups import TRUSTED_AHEAD_US, LookUps
from streams.runs.ports import Batch
from streams.runs.ports import Journal as JournalLog
from streams.runs.rows import Attempt, RunRows
from streams.runs.steps import CLAIMED, Steps, journal_key, load
from streams.runs.turn import Outcome, Turn, learn

REQUEST_BYTES_MAX = (8 << 20) - (64 << 10)  # a claim holds it and is one Kafka message
FAULTS_MAX = 3
KEEP_MARGIN_US = 600_000_000  # beyond `dedupe_for`: clocks differ, events may come from 5 minutes ahead
_FORGET_MAX = 10_000  # ended runs forgotten at a time
_FAULT_PAUSE_S = 1.0
_STUCK_PAUSE_S = 60.0
_LANE_ENDING, _LANE_FORMER, _LANE_AGAIN = "\x1fending", "\x1fformer", "\x1fagain"

log = logging.getLogger(__name__)


class RunShard:
    """One tenure of a partition; everything runs on the loop that loads it."""

    def __init__(self, partition: int, engine: RunEngine) -> None:
        self.partition = partition
        self._engine = engine
        self._rows = RunRows(partition, topics=engine.topics, codec=engine.codec, worker=engine.worker)
        self._unfinished: dict[str, Steps] = {}
        self._finished: deque[bytes] = deque()  # keys of the rows that say so, oldest first
        self._parked: dict[str, tuple[str, str]] = {}  # run → flow, version
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._look_ups = LookUps(engine, self._claim)
        self._journal: JournalLog | None = None
        self._writer: GroupWriter | None = None
        self._dropped = False

    async def load(self, fence: FencedProducer) -> None:
        """Read the journal to its end and let every unfinished run wait for its turn. Raises Transport."""
        journal = self._engine.open_journal(fence, self.partition)
        await asyncio.to_thread(journal.load)
        try:
            loaded = await asyncio.to_thread(load, journal.rows)
        except ValueError as error:
            # Without this row runs would be lost or done twice, which no later record mends.
            raise Transport(f"the journal of partition {self.partition} cannot be read: {error}") from error
        if self._dropped:
            raise Transport(f"partition {self.partition} of runs was dropped while it was loaded")
        self._journal = journal
        self._writer = GroupWriter(fence, journal, self._engine.topics.journal.name)
        self._unfinished, self._finished = loaded.unfinished, deque(loaded.finished)
        queue = self._engine.queue
        queue.unfinished += len(loaded.unfinished)
        queue.unfinished_bytes += sum(steps.size_bytes for steps in loaded.unfinished.values())
        if len(loaded.finished) >= self._engine.limits.ended_max:
            # A former owner may have forgotten runs before their time, which of them is not known.
            self._look_ups.floor_us = self._engine.clock.now_us()
        self._spawn(self._remove(loaded.left_over))
        self._spawn(self._look_ups.run())
        self._spawn(self._every(self._engine.limits.park_poll_s, self._look_after_parked))
        self._spawn(self._every(self._engine.limits.forget_every_s, self._forget))
        ending = set(loaded.ending)
        for run_id in loaded.unfinished:
            queue.add(self, _LANE_ENDING if run_id in ending else _LANE_FORMER, run_id)

    async def handle(self, batch: Batch) -> None:
        """Claim what is new in one write; returns once it is acknowledged.

        Raises Overload, before anything is written, while the worker holds `claims_max` unfinished runs.
        """
        writer = self._loaded()
        self._refuse_overload()
        letters: list[Row] = []
        fresh: dict[str, tuple[RunRequest, bytes]] = {}
        for record in batch.records:
            try:
                request, framed = await self._request(record)
            except (Poison, UndecodableError) as error:
                letters.append(self._rows.dead_letter(record, error.reason, str(error)))
                continue
            if request.id in self._look_ups:
                self._look_ups.join(request.id, batch.defer(record.offset))
            elif request.id in fresh or self._knows(request.id):
                self._engine.counts.known += 1
            elif self._look_ups.needed(request):
                self._look_ups.add(request, framed, batch.defer(record.offset))
            else:
                fresh[request.id] = (request, framed)
        if letters:
            self._engine.counts.refused += len(letters)
            refused = writer.put(letters)
        await self._claim(list(fresh.values()))
        if letters:
            await refused

    def _refuse_overload(self) -> None:
        queue, limits = self._engine.queue, self._engine.limits
        if queue.unfinished >= limits.claims_max or queue.unfinished_bytes >= limits.claims_bytes_max:
            raise Overload(
                f"this worker holds {queue.unfinished} unfinished runs with {queue.unfinished_bytes} bytes, "
                f"{limits.claims_max} and {limits.claims_bytes_max} are the most; requests wait in Kafka",
                retry_after_s=0.2,
            )

    def _knows(self, run_id: str) -> bool:
        return (
            run_id in self._unfinished
            or self._journal is None
            or journal_key(run_id, 0) in self._journal.rows
        )

    async def _request(self, record: LogRecord) -> tuple[RunRequest, bytes]:
        """Return a record's request; raises Poison or UndecodableError for what can never be run."""
        framed = record.value
        if framed is None:
            raise Poison("it has no value", reason="truncated")
        if len(framed) > REQUEST_BYTES_MAX:
            text = f"it has {len(framed)} bytes, {REQUEST_BYTES_MAX} are the most"
            raise Poison(text, reason="too_large")
        try:
            await learn(self._engine.codec, framed)
        except Transport as error:
            raise Overload(str(error)) from error  # waited out: nothing was accepted yet
        request = self._engine.codec.decode(framed, RunRequest)
        if shard(request.id, self._engine.topics.runs.partitions) != self.partition or len(request.id) != 36:
            text = f"run {request.id!r:.80} does not belong to partition {self.partition}"
            raise Poison(text, reason="wrong_partition")
        try:
            parameters = json.loads(request.parameters)
        except ValueError as error:
            raise Poison(f"its parameters are not JSON: {error}", reason="invalid") from error
        if not isinstance(parameters, dict):
            raise Poison("its parameters are no JSON object", reason="invalid")
        return request, framed

    async def _claim(self, requests: Sequence[tuple[RunRequest, bytes]]) -> None:
        """Make requests ours: one write, then they wait for their turn. Raises Overload or Transport."""
        if not requests:
            return
        writer, queue = self._loaded(), self._engine.queue
        self._refuse_overload()
        now_us = self._engine.clock.now_us()
        claims = []
        for request, framed in requests:
            step = self._rows.step(request.id, 0, CLAIMED, state="claimed", at=now_us, request=framed)
            shown = self._rows.run_log(Attempt(request, 1), 0, "claimed", now_us)
            claims.append(writer.put([self._rows.journal(step), shown]))
            self._unfinished[request.id] = Steps(size_bytes=len(framed))
            queue.unfinished += 1
            queue.unfinished_bytes += len(framed)
        for claim in claims:
            await claim
        self._engine.counts.claimed += len(requests)
        if not self._dropped:
            for request, _ in requests:
                queue.add(self, request.flow, request.id)

    def start(self, run_id: str) -> None:
        """Give a run its turn; the queue calls this."""
        release = _Once(self._engine.queue.release)
        # Not in the task itself: one that is cancelled before it begins would keep the turn for ever.
        self._spawn(self._turn(run_id, release)).add_done_callback(lambda _: release())

    async def _turn(self, run_id: str, release: Callable[[], None]) -> None:
        queue = self._engine.queue
        outcome = await self._take_turn(run_id, self._unfinished[run_id], release)
        if self._dropped or self._writer is None or self._writer.lost:
            return
        if outcome.again_s is not None:
            loop = asyncio.get_running_loop()
            self._timers[run_id] = loop.call_later(outcome.again_s, self._again, run_id)
        elif outcome.parked is not None:
            self._parked[run_id] = outcome.parked
        else:
            queue.unfinished -= 1
            queue.unfinished_bytes -= self._unfinished.pop(run_id).size_bytes
            self._finished.append(journal_key(run_id, 0))

    async def _take_turn(self, run_id: str, steps: Steps, release: Callable[[], None]) -> Outcome:
        """Take a turn, whatever it meets: an error of ours must not leave a run without a next step."""
        if self._journal is None:
            raise AssertionError(f"run {run_id} has its turn before its partition is loaded")
        turn = Turn(
            run_id,
            steps,
            engine=self._engine,
            rows=self._rows,
            journal=self._journal,
            writer=self._loaded(),
            release=release,
        )
        try:
            outcome = await turn.take()
        except ExecutorStopped:
            self._engine.queue.stop()
            return Outcome(again_s=self._engine.limits.retry_s)
        except Transport as error:
            if not self._dropped:
                log.info("run %s waits: %s", run_id, error)
            return Outcome(again_s=self._engine.limits.retry_s)
        except Exception as error:
            steps.faults += 1
            log.exception("run %s: an error of ours, number %d in a row", run_id, steps.faults)
            return await self._give_up(turn, steps, error)
        steps.faults = 0
        return outcome

    async def _give_up(self, turn: Turn, steps: Steps, error: Exception) -> Outcome:
        if steps.faults < FAULTS_MAX:
            return Outcome(again_s=_FAULT_PAUSE_S)
        try:
            return await turn.give_up(error)
        except Exception:
            log.exception("such a run cannot even be ended; it is looked at again later")
            return Outcome(again_s=_STUCK_PAUSE_S)

    def _again(self, run_id: str) -> None:
        self._timers.pop(run_id, None)
        self._engine.queue.add(self, _LANE_AGAIN, run_id)

    async def _every(self, pause_s: float, look: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(pause_s)
            try:
                await look()
            except Transport as error:
                log.info("partition %d of runs: %s", self.partition, error)
            except Exception:
                log.exception("partition %d of runs: an error of ours; going on", self.partition)

    async def _look_after_parked(self) -> None:
        """Let runs go on whose code is here now."""
        for wanted in set(self._parked.values()):
            if await self._engine.flows.available(*wanted):
                for run_id in [run_id for run_id, flow in self._parked.items() if flow == wanted]:
                    del self._parked[run_id]
                    self._engine.queue.add(self, _LANE_AGAIN, run_id)

    async def _forget(self) -> None:
        """Remove ended runs that the store knows and that nobody asks for again without a look-up."""
        journal, engine = self._journal, self._engine
        if journal is None or not self._finished:
            return
        stored = await engine.stored_offset(self.partition)
        kept_us = int(engine.limits.dedupe_for_s * 1e6) + KEEP_MARGIN_US
        gone: list[bytes] = []
        for _ in range(min(len(self._finished), _FORGET_MAX)):
            value = journal.rows.get(self._finished[0])
            if value is not None:
                await learn(engine.codec, value)
                end = engine.codec.decode(value, Journal)
                early = engine.clock.now_us() < end.at + kept_us
                crowded = len(self._finished) > engine.limits.ended_max
                if (early and not crowded) or (end.run_log_offset or 0) >= stored:
                    break
                if early:
                    floor_us = end.at + TRUSTED_AHEAD_US  # its events are not younger than that
                    self._look_ups.floor_us = max(self._look_ups.floor_us, floor_us)
                gone.append(self._finished[0])
            self._finished.popleft()
            if len(gone) == GROUP_MAX:
                await self._remove(gone)
                gone = []
        await self._remove(gone)

    async def _remove(self, keys: Sequence[bytes]) -> None:
        for at in range(0, len(keys), GROUP_MAX):
            some = keys[at : at + GROUP_MAX]
            await self._loaded().put([self._rows.forgotten(key) for key in some])
            self._engine.counts.forgotten += len(some)

    async def refuse(self, record: LogRecord, error: Exception) -> None:
        """Put a record that cannot be handled among the dead letters, durably."""
        text = f"{type(error).__name__}: {error}"
        self._engine.counts.refused += 1
        await self._loaded().put([self._rows.dead_letter(record, "invalid", text)])

    def drop(self) -> None:
        """Stop all runs and writes of this partition at once."""
        if self._dropped:
            return
        self._dropped = True
        queue = self._engine.queue
        queue.forget(self)
        queue.unfinished -= len(self._unfinished)
        queue.unfinished_bytes -= sum(steps.size_bytes for steps in self._unfinished.values())
        if self._writer is not None:
            self._writer.close()
        if self._journal is not None:
            self._journal.close()
        for timer in self._timers.values():
            timer.cancel()
        for task in self._tasks:
            task.cancel()

    def _loaded(self) -> GroupWriter:
        if self._writer is None or self._dropped:
            raise Transport(f"partition {self.partition} of runs is not this worker's; nothing was done")
        return self._writer

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not self._dropped:
            log.info("partition %d of runs: %r; its owner is told by the fence", self.partition, error)


class _Once:
    """Calls a function at the first call only."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call

    def __call__(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call()
