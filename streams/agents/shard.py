"""The ports between ownership and what is owned: shard, group, batch, delivery."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from streams.kafka.fenced import FencedProducer
from streams.kafka.log_record import LogRecord


class OwnerState(StrEnum):
    """Where a partition stands with this worker."""

    OPENING = "opening"  # shutting the former owner out
    LOADING = "loading"  # reading its logs to the end
    ACTIVE = "active"
    LOST = "lost"  # dropped; taken again only if a fresh heartbeat says it is still ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One step of a partition's ownership, for logs and metrics."""

    role: str
    partition: int
    state: OwnerState
    reason: str = ""


class Batch:
    """Records of one partition in log order. Those not deferred are finished when `handle` returns."""

    def __init__(self, records: Sequence[LogRecord], finish: Callable[[int], None]) -> None:
        self.records = records
        self.deferred: set[int] = set()
        self._finish = finish

    def defer(self, offset: int) -> Callable[[], None]:
        """Keep `offset` uncommitted after `handle`; call what is returned once it is durable."""
        self.deferred.add(offset)
        return lambda: self._finish(offset)


class Shard(Protocol):
    """One tenure of a partition: made anew each time it is taken, dropped once, never used again."""

    async def load(self, fence: FencedProducer) -> None:
        """Read the logs to their end and keep `fence`; nothing else can write to them meanwhile.

        Raise Transport to be dropped and taken again later.
        """
        ...

    async def handle(self, batch: Batch) -> None:
        """Make what the records ask for durable. May be given a record again: ids decide.

        Transport (a failed fence too) drops the tenure, Overload is waited out and tried again, anything
        else is tried record by record and finally given to `refuse`.
        """
        ...

    async def refuse(self, record: LogRecord, error: Exception) -> None:
        """Put a record that cannot be handled among the dead letters, durably."""
        ...

    def drop(self) -> None:
        """Stop all work at once: another owner may be at it already. Must not block or raise."""
        ...


class Group(Protocol):
    """The consumer group that assigns partitions; Faust in production."""

    async def still_holds(self, topic: str, partition: int) -> bool:
        """Ask with a fresh heartbeat whether the group still assigns the partition to this member."""
        ...

    async def committed(self, topic: str, partition: int) -> int | None:
        """Return the offset to begin at, or None for a partition never committed. Raises Transport."""
        ...

    async def commit(self, offsets: Mapping[tuple[str, int], int]) -> bool:
        """Commit under this member's generation; False when refused (the next commit covers it)."""
        ...


class Reader(Protocol):
    """Reads partitions from explicit offsets; `streams.kafka.reader` in production."""

    def start(
        self, topic: str, partition: int, offset: int, sink: Callable[[Sequence[LogRecord]], None]
    ) -> None:
        """Hand records from `offset` on to `sink`, in another thread."""
        ...

    def stop(self, topic: str, partition: int) -> None:
        """Hand nothing more on."""
        ...

    def taken(self, topic: str, partition: int, count: int) -> None:
        """Give back the credit of `count` records."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What one kind of owner needs to know."""

    name: str  # evaluate, run
    topic: str  # the source topic whose partitions are owned
    batch_max: int = 256
    unfinished_max: int = 100_000  # deferred records a partition may hold before it reads no further


@dataclass(frozen=True, slots=True)
class Delivery:
    """Records on their way to a tenure, through the Faust agent of its role."""

    accept: Callable[[Sequence[LogRecord]], None]
    records: Sequence[LogRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What the group gave this member."""

    generation: int
    member: str
    partitions: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def follows(self, previous: "Assignment | None") -> bool:
        """Whether this member has been in the group without a break since `previous`.

        Only then did nobody else hold in between what it holds in both.
        """
        return (
            previous is not None
            and self.member == previous.member
            and self.generation == previous.generation + 1
        )

    def of(self, topic: str) -> frozenset[int]:
        """The partitions of one topic."""
        return self.partitions.get(topic, frozenset())


def assignment(generation: int, member: str, places: Iterable[tuple[str, int]]) -> Assignment:
    """Group (topic, partition) pairs by topic."""
    topics: dict[str, set[int]] = {}
    for topic, partition in places:
        topics.setdefault(topic, set()).add(partition)
    return Assignment(
        generation=generation, member=member, partitions={t: frozenset(ps) for t, ps in topics.items()}
    )
