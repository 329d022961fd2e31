"""What the run engine asks of others; wiring brings the real ones, tests bring fakes."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from flows.retry import Retry
from streams.kafka.fenced import FencedProducer, Row
from streams.kafka.log_record import LogRecord
from streams.runs.child_job import Job, JobResult, RunCallbacks


class Batch(Protocol):
    """Records of one partition of `runs`; those not deferred are finished when `handle` returns."""

    @property
    def records(self) -> Sequence[LogRecord]:
        """In log order."""
        ...

    def defer(self, offset: int) -> Callable[[], None]:
        """Keep `offset` uncommitted; call what is returned once it is durable."""
        ...


class Journal(Protocol):
    """A partition of `journal` and its newest rows in memory; streams.kafka.owned_log in production."""

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


class Fence(Protocol):
    """The only producer that can write for a partition."""

    def write(self, rows: Sequence[Row]) -> "Future[list[int]]":
        """Write rows in order; the future resolves to their offsets."""
        ...


class Runner(Protocol):
    """Runs one attempt at a time in each of its slots; streams.runs.executor in production."""

    async def run(self, job: Job, callbacks: RunCallbacks) -> JobResult:
        """Return what became of an attempt; raises what a callback raised, or Transport when it stops."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowFile:
    """Where a flow is and how it is run.

    Attributes:
        file: Path of its file.
        timeout_s: Limit of an attempt; None means the worker's setting.
        retry: How a failed run is tried again.

    """

    file: str
    timeout_s: float | None = None
    retry: Retry = field(default_factory=Retry)


class Flows(Protocol):
    """Which flows are deployed."""

    def find(self, flow: str, version: str) -> FlowFile | None:
        """Return how to run a flow, in that version if it is known, else as it is deployed now."""
        ...

    async def available(self, flow: str, version: str) -> bool:
        """Return whether the flow's file is here in that version now."""
        ...


OpenJournal = Callable[[FencedProducer, int], Journal]
# Latest stored states by run id; raises Transport when the store does not answer.
KnownRuns = Callable[[Collection[str]], Awaitable[Mapping[str, str]]]
# Offset below which a partition of `run-log` is stored; raises Transport.
StoredOffset = Callable[[int], Awaitable[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """Bounds of a worker's runs.

    Attributes:
        claims_max: Unfinished runs held; beyond it requests wait in Kafka.
        claims_bytes_max: Of their requests together.
        ended_max: Ended runs that a partition remembers; beyond it requests for events of their time are
            looked up in the store.
        run_timeout_s: Limit of an attempt for flows that give none.
        dedupe_for_s: Requests for older events are looked up in the store before they start.
        takes_max: How often a run may be taken up without finishing a task before it is given up.
        journaled_bytes_max: Of all task results of a run together.
        event_bytes_max: Of an event that a run emits.
        park_poll_s: Between two looks whether parked runs can go on.
        forget_every_s: Between two looks whether ended runs can be forgotten.
        retry_s: Before a service that did not answer is asked again.

    """

    claims_max: int = 120_000
    claims_bytes_max: int = 1 << 30
    ended_max: int = 50_000
    run_timeout_s: float = 3600.0
    dedupe_for_s: float = 3600.0
    takes_max: int = 10
    journaled_bytes_max: int = 32 << 20
    event_bytes_max: int = 1 << 20
    park_poll_s: float = 2.0
    forget_every_s: float = 10.0
    retry_s: float = 0.5
