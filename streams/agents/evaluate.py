"""Evaluate: the owner of a candidates partition decides what every candidate leads to (DESIGN 5.5, 5.7).

A batch is written in this order, each step acknowledged before the next: verdicts, run requests and dead
letters; then the states, the progress row last; only then may its offset be committed. After a crash between
any two the records come again and the fold makes the same again, ids included.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from flows.core.index import TriggerIndex
from flows.core.trigger import Trigger
from flows.decision import Decision
from schemas.codec import Codec, UndecodableError, peek
from schemas.dead_letter import Stage
from schemas.record import Candidate, State
from schemas.shard import shard
from schemas.topics import Topics
from streams.agents.evaluate_fold import PROGRESS_KEY, Fold, Progress, StateKey
from streams.agents.shard import Batch
from streams.errors import EnsueError, Poison, Transport
from streams.kafka.dead_letter import dead_letter
from streams.kafka.fenced import FencedProducer, Row
from streams.kafka.log_record import LogRecord
from streams.kafka.owned_log import OwnedLog

log = logging.getLogger(__name__)

KEY_SEPARATOR = "\x1f"
_CANDIDATE, _MARK = "candidate", "ensue.mark"
_DEFINITIONS_KEPT = 16
_DEFINITIONS_WAIT_S = 10.0

OpenStates = Callable[[FencedProducer, int], "States"]


class Definitions(Protocol):
    """The triggers log as followed by this process."""

    async def reached(self, triggers_offset: int) -> None:
        """Return once everything below `triggers_offset` is read."""
        ...

    def in_force(self, triggers_offset: int) -> TriggerIndex:
        """Return the triggers defined below `triggers_offset`, which is reached."""
        ...


class States(Protocol):
    """A partition of `state` and its newest rows in memory; streams.kafka.owned_log in production."""

    @property
    def rows(self) -> Mapping[bytes, bytes]:
        """The newest value of every key."""
        ...

    def load(self) -> None:
        """Read the log to its end; blocks. Raises Transport."""
        ...

    def stage(self, key: bytes, value: bytes | None) -> Row:
        """Change the map and return the row, which must be written before anything is awaited."""
        ...

    def snapshot_if_due(self) -> None:
        """Shorten the log in the background when it is long enough."""
        ...

    def close(self) -> None:
        """Stop shortening."""
        ...


@dataclass(slots=True)
class EvaluateCounts:
    """What a process's evaluation has seen since it began."""

    decided: int = 0
    fired: int = 0
    refused: int = 0
    marks: int = 0
    ticks: int = 0


class EvaluateShard:
    """One tenure of a candidates partition; a `Shard` of streams.agents.shard.

    Its cache holds every (trigger, group key) of the partition that ever waited for more events: memory is
    bounded by the number of groups, and by the events held for thresholds (at most 4 MiB a group).
    """

    def __init__(
        self,
        partition: int,
        *,
        topics: Topics,
        codec: Codec,
        definitions: Definitions,
        open_states: OpenStates,
        counts: EvaluateCounts | None = None,
    ) -> None:
        """`open_states` gives the rows of a partition of `state`, not loaded yet."""
        self.partition = partition
        self.counts = counts or EvaluateCounts()
        self._topics = topics
        self._codec = codec
        self._definitions = definitions
        self._open_states = open_states
        self._states: States | None = None
        self._triggers: OrderedDict[int, Mapping[str, Trigger]] = OrderedDict()
        self._reached_offset = -1
        self._fence: FencedProducer | None = None
        self._fold: Fold | None = None

    async def load(self, fence: FencedProducer) -> None:
        """Read the states to their end; nobody else can write them any more. Raises Transport."""
        log_of_states = self._open_states(fence, self.partition)
        await asyncio.to_thread(log_of_states.load)
        states, progress = await asyncio.to_thread(self._decode_states, log_of_states.rows)
        self._states = log_of_states
        self._fold = Fold(self.partition, codec=self._codec, states=states, progress=progress)
        self._fence = fence

    def _decode_states(self, rows: Mapping[bytes, bytes]) -> tuple[dict[StateKey, State], Progress]:
        states: dict[StateKey, State] = {}
        progress = Progress()
        for key, value in rows.items():
            try:
                state = self._codec.decode(value, State)
            except (UndecodableError, OSError) as error:
                # Without it the fold would go on from a wrong state, which no later record mends.
                place = f"{self._topics.state.name}[{self.partition}]"
                raise Transport(f"the row {key!r:.200} of {place} cannot be read ({error})") from error
            if key == PROGRESS_KEY:
                progress = Progress.from_state(state)
            else:
                states[state.trigger, state.group_key] = state
        return states, progress

    async def handle(self, batch: Batch) -> None:
        """Decide a batch and write what it leads to; returns once all of it is acknowledged."""
        fold, fence, states = self._fold, self._fence, self._states
        if fold is None or fence is None or states is None:
            raise Transport(f"candidates[{self.partition}] is not loaded; nothing was decided")
        fold.begin()
        rows: list[Row] = []
        for record in batch.records:
            if not fold.is_done(record):
                rows += await self._decide(fold, record)
        if rows:
            await asyncio.wrap_future(fence.write(rows))
        if fold.moved:
            # Staged and given to the fence without a pause, so that map and log agree on the order.
            await asyncio.wrap_future(fence.write(self._state_rows(fold, states)))
            states.snapshot_if_due()
        fold.keep()

    async def _decide(self, fold: Fold, record: LogRecord) -> list[Row]:
        """Return the rows of one record; one that can never be decided becomes a dead letter."""
        try:
            if record.value is not None and peek(record.value)[1] == _MARK:
                self.counts.marks += 1  # how far the router is, for timers; there are none yet
                return []
            candidate = await self._decode(record)
            if candidate.kind != _CANDIDATE:
                self.counts.ticks += 1
                log.debug("the tick at %s is for a later version; %d so far", record.place, self.counts.ticks)
                return []
            await self._reached(candidate.triggers_offset)
            if candidate.body is not None:
                await self._learn(candidate.body)
            decision = fold.take(record, candidate, self._in_force)
            rows = self._rows(decision)
        except (EnsueError, asyncio.CancelledError) as error:
            if not isinstance(error, Poison):
                raise
            return [self._dead_letter(record, error.reason, str(error))]
        except UndecodableError as error:
            return [self._dead_letter(record, error.reason, str(error))]
        except Exception as error:
            # Whatever one candidate does to evaluation, the candidates after it are decided.
            return [
                self._dead_letter(
                    record, "undecidable", f"evaluation failed: {type(error).__name__}: {error}"
                )
            ]
        fold.apply(decision)
        self.counts.decided += bool(decision.verdicts)
        self.counts.fired += len(decision.requests)
        return rows

    async def _reached(self, triggers_offset: int) -> None:
        if triggers_offset <= self._reached_offset:
            return
        try:
            await asyncio.wait_for(self._definitions.reached(triggers_offset), _DEFINITIONS_WAIT_S)
        except TimeoutError:
            raise Transport(
                f"candidates[{self.partition}] names definitions below {triggers_offset}, but the triggers "
                f"log was not read that far within {_DEFINITIONS_WAIT_S:g} s; was it made anew?"
            ) from None
        self._reached_offset = triggers_offset

    async def _decode(self, record: LogRecord) -> Candidate:
        if record.value is None:
            raise Poison("a candidate without a value", reason="truncated")
        await self._learn(record.value)
        return self._codec.decode(record.value, Candidate)

    async def _learn(self, framed: bytes) -> None:
        if not self._codec.knows(framed):
            try:
                await asyncio.to_thread(self._codec.learn, framed)
            except OSError as error:
                raise Transport(f"the registry does not answer: {error}; the batch is tried again") from error

    def _in_force(self, triggers_offset: int) -> Mapping[str, Trigger]:
        found = self._triggers.get(triggers_offset)
        if found is None:
            index = self._definitions.in_force(triggers_offset)
            found = self._triggers[triggers_offset] = {trigger.name: trigger for trigger in index.triggers}
            if len(self._triggers) > _DEFINITIONS_KEPT:
                self._triggers.popitem(last=False)
        return found

    def _rows(self, decision: Decision) -> list[Row]:
        runs, verdicts = self._topics.runs, self._topics.verdicts
        rows = [
            Row(verdicts.name, self.partition, _key(v.trigger, v.group_key), self._codec.encode(v))
            for v in decision.verdicts
        ]
        rows += [
            Row(runs.name, shard(r.id, runs.partitions), r.id.encode(), self._codec.encode(r))
            for r in decision.requests
        ]
        return rows

    def _state_rows(self, fold: Fold, states: "States") -> Sequence[Row]:
        """Return the states of the batch; the progress row last, for it says that the others are there."""
        rows = [states.stage(_key(*key), self._codec.encode(state)) for key, state in fold.touched.items()]
        done = self._codec.encode(fold.progress.to_state())
        return [*rows, states.stage(PROGRESS_KEY, done)]

    def _dead_letter(self, record: LogRecord, reason: str, problem: str) -> Row:
        self.counts.refused += 1
        topic = self._topics.dead_letters
        text = (
            f"{record.place} is not evaluated: {problem}. The candidates after it are; retry the dead letter"
        )
        letter = dead_letter(record, Stage.EVALUATE, reason=reason, error=text)
        key = letter.id.encode()
        return Row(topic.name, shard(letter.id, topic.partitions), key, self._codec.encode(letter))

    async def refuse(self, record: LogRecord, error: Exception) -> None:
        """Put a record that cannot be handled among the dead letters, durably."""
        if self._fence is None:
            raise Transport(f"candidates[{self.partition}] is not loaded; {record.place} is not refused")
        letter = self._dead_letter(record, "undecidable", f"{type(error).__name__}: {error}")
        await asyncio.wrap_future(self._fence.write([letter]))

    def drop(self) -> None:
        """Decide nothing any more."""
        self._fold = self._fence = None
        if self._states is not None:
            self._states.close()
            self._states = None


def kafka_states(client: Mapping[str, Any], topics: Topics) -> OpenStates:
    """Return what opens a partition of `state` on Kafka, given librdkafka's connection properties."""
    return lambda fence, partition: OwnedLog(client, fence, topics.state.name, partition)


def _key(trigger: str, group_key: str) -> bytes:
    return f"{trigger}{KEY_SEPARATOR}{group_key}".encode()
