"""The fold over one candidates partition (DESIGN 5.5): records in, decisions out. Pure but for its two ports.

Two things may come again. The same record, after a crash of ours: the progress row says up to which
candidates offset everything is done, and each state row which candidate it has seen last. And the same
candidate at a new offset, after a crash of the router: it writes the candidates of an events partition in
the order of (events offset, trigger), so one place per events partition says what has been here before.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from flows.core.trigger import Trigger
from flows.decision import Decision, decide
from schemas.codec import Codec
from schemas.identity import derived_id
from schemas.record import Candidate, EventRecord, State
from streams.errors import Poison

PROGRESS_KEY = b"\x1fprogress"  # no trigger is named by the empty text, so it meets no state's key
_PROGRESS_EVENT = "ensue.state.progress"

Triggers = Callable[[int], Mapping[str, Trigger]]  # definitions below an offset of the triggers log, by name
Place = tuple[int, str]  # events offset, trigger
StateKey = tuple[str, str]  # trigger, group key


class Read(Protocol):
    """What the fold needs of a record of candidates."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp_ms(self) -> int: ...
    @property
    def value(self) -> bytes | None: ...


@dataclass(slots=True, kw_only=True)
class Progress:
    """What is done of one candidates partition.

    Attributes:
        candidates_offset: Everything up to it is done: decided, written, acknowledged.
        now_us: Largest log time seen.
        routed: Per events partition the last candidate taken in.

    """

    candidates_offset: int = -1
    now_us: int = 0
    routed: dict[int, Place] = field(default_factory=dict)

    def copy(self) -> "Progress":
        return Progress(
            candidates_offset=self.candidates_offset, now_us=self.now_us, routed=dict(self.routed)
        )

    def to_state(self) -> State:
        """Return the row that holds it, written last in each group of states."""
        data = {str(partition): list(place) for partition, place in sorted(self.routed.items())}
        return State(
            id=derived_id("progress"),
            event=_PROGRESS_EVENT,
            trigger="",
            trigger_version="",
            group_key="",
            candidates_offset=self.candidates_offset,
            now=self.now_us,
            data=json.dumps(data, separators=(",", ":"), ensure_ascii=False),
        )

    @classmethod
    def from_state(cls, state: State) -> "Progress":
        """Read the row back."""
        routed = {int(p): (int(offset), str(name)) for p, (offset, name) in json.loads(state.data).items()}
        return cls(candidates_offset=state.candidates_offset, now_us=state.now, routed=routed)


class Fold:
    """The states of one candidates partition; `begin` a batch, `take` its records, then `keep` it.

    A batch that is not kept leaves no trace, so that it can be tried again.
    """

    def __init__(
        self,
        partition: int,
        *,
        codec: Codec,
        states: Mapping[StateKey, State],
        progress: Progress,
    ) -> None:
        self.partition = partition
        self._codec = codec
        self._states = dict(states)
        self._progress = progress
        self.begin()

    def begin(self) -> None:
        """Begin a batch; forget one that was begun and not kept."""
        self.touched: dict[StateKey, State] = {}
        self.progress = self._progress.copy()

    def keep(self) -> None:
        """Make the batch's states the current ones: they are acknowledged."""
        self._states.update(self.touched)
        self._progress = self.progress
        self.begin()

    def is_done(self, record: Read) -> bool:
        """Whether a former batch took the record in, whoever owned the partition then."""
        return record.offset <= self.progress.candidates_offset

    @property
    def moved(self) -> bool:
        """Whether the batch took anything in."""
        return self.progress.candidates_offset > self._progress.candidates_offset

    def take(self, record: Read, candidate: Candidate, triggers: Triggers) -> Decision:
        """Decide one record; `apply` the decision when it can be written.

        Raises Poison, ValueError or UndecodableError for a record that cannot be decided.
        """
        self._done(record)
        if self._came_before(candidate):
            return Decision()
        trigger = triggers(candidate.triggers_offset).get(candidate.trigger)
        if trigger is None:
            raise Poison(
                f"candidate {candidate.id} is for trigger {candidate.trigger}, which was not defined below "
                f"offset {candidate.triggers_offset} of the triggers log",
                reason="unknown_trigger",
            )
        key = (candidate.trigger, candidate.group_key)
        return decide(
            trigger,
            self.touched.get(key) or self._states.get(key),
            candidate,
            decode=self._event,
            log_time_us=self.progress.now_us,
            partition=self.partition,
            offset=record.offset,
        )

    def apply(self, decision: Decision) -> None:
        """Let the records that follow see the state of a decision."""
        state = decision.state
        if state is not None:
            self.touched[state.trigger, state.group_key] = state

    def _done(self, record: Read) -> None:
        self.progress.candidates_offset = record.offset
        self.progress.now_us = max(self.progress.now_us, record.timestamp_ms * 1000)

    def _came_before(self, candidate: Candidate) -> bool:
        if candidate.scope_id is not None:
            return False  # a replay bypasses the events log; its own scope keeps it apart
        place = (candidate.events_offset, candidate.trigger)
        last = self.progress.routed.get(candidate.events_partition)
        if last is not None and place <= last:
            return True
        self.progress.routed[candidate.events_partition] = place
        return False

    def _event(self, body: bytes) -> EventRecord:
        return self._codec.decode(body, EventRecord)
