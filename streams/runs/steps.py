"""The journal of one run: its keys, and what its rows say when a run is taken up.

Key: run id, US, seq. Row 0 is the claim with the request; when all that follows from a run's end is
acknowledged the end replaces it, and the other rows go. Row TERMINAL_SEQ is the decision how a run ends;
there can be one only. An owner that goes on with a run of a former one counts on from the next multiple of
TAKE, so that their numbers never meet, whatever was written without being acknowledged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flows.context import Recalled
from schemas import record
from schemas.codec import Codec, peek
from schemas.record import RunRequest

TAKE = 10**9
TERMINAL_SEQ = 10**15
EVENT_PREFIX = "ensue.journal."
CLAIMED, TASK, STATE, FINISHED = "claimed", "task", "state", "finished"
_RUN_ID_CHARS = 36


def journal_key(run_id: str, seq: int) -> bytes:
    """Return the key of a run's row."""
    return f"{run_id}\x1f{seq}".encode()


def run_and_seq(key: bytes) -> tuple[str, int]:
    """Return what a key names; raises ValueError for one of another make."""
    if key[_RUN_ID_CHARS : _RUN_ID_CHARS + 1] != b"\x1f":
        raise ValueError(f"{key!r:.100} is not a key of the journal")
    return key[:_RUN_ID_CHARS].decode("ascii"), int(key[_RUN_ID_CHARS + 1 :])


@dataclass(slots=True)
class Steps:
    """An unfinished run as its owner keeps it in memory; the rows themselves are in the journal's map.

    Attributes:
        seqs: Of all its rows but the claim.
        next_seq: For its next row, in journal and logs alike.
        size_bytes: Of its claim.
        taken: Whether this owner has journaled that it took the run up.
        faults: Unexpected errors of ours in a row.

    """

    seqs: list[int] = field(default_factory=list)
    next_seq: int = 1
    size_bytes: int = 0
    taken: bool = True
    faults: int = 0

    def number(self) -> int:
        """Return the number of the run's next row."""
        seq = self.next_seq
        self.next_seq += 1
        return seq


@dataclass(slots=True, kw_only=True)
class SoFar:
    """What the journal says of a run.

    Attributes:
        request: What was asked for.
        recalled: Finished tasks by key.
        tasks: Their rows.
        attempt: The attempt to make.
        idle_takes: How often it was taken up since it last got anywhere.
        parked: Whether it last waited for its code.
        recalled_bytes: Of all results together.
        decision: How it ends, once that is decided.
        paused_us: Since when it waits for its next attempt; 0 when it does not.

    """

    request: RunRequest
    recalled: dict[str, Recalled] = field(default_factory=dict)
    tasks: list[record.Journal] = field(default_factory=list)
    attempt: int = 1
    idle_takes: int = 1
    parked: bool = False
    recalled_bytes: int = 0
    decision: record.Journal | None = None
    paused_us: int = 0


def so_far(codec: Codec, request: RunRequest, rows: Mapping[bytes, bytes], seqs: Sequence[int]) -> SoFar:
    """Fold a run's rows; raises LookupError or UndecodableError when the journal lacks or garbles one."""
    found = SoFar(request=request)
    for seq in sorted(seqs):
        row = codec.decode(rows[journal_key(request.id, seq)], record.Journal)
        found.parked, found.paused_us = False, 0
        if row.kind == CLAIMED:
            found.idle_takes += 1
            continue
        found.idle_takes = 1
        if seq == TERMINAL_SEQ:
            found.decision = row
        elif row.kind == TASK:
            found.recalled[row.task_key or ""] = Recalled(result=row.result)
            found.tasks.append(row)
            found.recalled_bytes += len(row.result or "")
        elif row.state == "retrying":
            found.attempt = row.attempt + 1
            found.paused_us = row.at
        else:
            found.parked = row.state == "parked"
    return found


@dataclass(slots=True, kw_only=True)
class Loaded:
    """A journal's runs at load.

    Attributes:
        unfinished: By run id, in order of their claims.
        ending: Those of them whose end is decided and not yet told everywhere.
        finished: Keys of rows 0 of ended runs.
        left_over: Rows of ended runs whose owner died between writing the end and removing them.

    """

    unfinished: dict[str, Steps] = field(default_factory=dict)
    ending: list[str] = field(default_factory=list)
    finished: list[bytes] = field(default_factory=list)
    left_over: list[bytes] = field(default_factory=list)


def load(rows: Mapping[bytes, bytes]) -> Loaded:
    """Index a journal without decoding it; raises ValueError or UndecodableError for foreign rows."""
    found = Loaded()
    further: dict[str, list[int]] = {}
    for key, value in rows.items():
        run_id, seq = run_and_seq(key)
        if seq:
            further.setdefault(run_id, []).append(seq)
        elif peek(value)[1] == EVENT_PREFIX + FINISHED:
            found.finished.append(key)
        else:
            found.unfinished[run_id] = Steps(next_seq=TAKE, size_bytes=len(value), taken=False)
    for run_id, seqs in further.items():
        steps = found.unfinished.get(run_id)
        if steps is None:
            found.left_over += [journal_key(run_id, seq) for seq in seqs]
            continue
        steps.seqs = seqs
        last = max((seq for seq in seqs if seq != TERMINAL_SEQ), default=0)
        steps.next_seq = (last // TAKE + 1) * TAKE
        if TERMINAL_SEQ in seqs:
            found.ending.append(run_id)
    return found
