"""Reading the events log from a position: decoded, each id once. Every call blocks: in threads only.

Ids decide: an event that was sent again (its sender never saw our answer) stands in the log twice. A
reading begins `LOOK_BACK` offsets earlier and only remembers the ids it meets there, so that a second copy
whose first one lies before the position is not taken for news.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from schemas.codec import Codec, UndecodableError, peek
from schemas.record import EventRecord
from streams.gateway.live.event import LiveEvent
from streams.gateway.live.position import Positions
from streams.kafka.record import Place, Record

LOOK_BACK = 2_000
_log = logging.getLogger(__name__)


class PositionGone(Exception):
    """The log does not hold this position (any more): what lay between cannot be had from it."""


class Reader(Protocol):
    """What is needed of `streams.kafka.consumer.LogReader`, or of the one in memory."""

    def assign(self, offsets: Mapping[Place, int]) -> None:
        """Read from here."""
        ...

    def consume(self, count_max: int, timeout_s: float) -> list[Record]:
        """Return what is there."""
        ...

    def watermarks(self, topic: str, partition: int) -> tuple[int, int]:
        """Return first and next offset."""
        ...

    @property
    def positions(self) -> Mapping[Place, int]:
        """Next offset by place."""
        ...

    def lag(self) -> Mapping[Place, int]:
        """Return offsets between position and end, as last heard."""
        ...

    def close(self) -> None:
        """End."""
        ...


class Step(NamedTuple):
    """A record passed: its event, or None when it is none, or one seen before."""

    partition: int
    offset: int
    event: LiveEvent | None


class _Ids:
    """At least the last `LOOK_BACK` ids of a partition."""

    __slots__ = ("_old", "_young")

    def __init__(self) -> None:
        self._young: set[str] = set()
        self._old: set[str] = set()

    def is_new(self, id_text: str) -> bool:
        if id_text in self._young or id_text in self._old:
            return False
        if len(self._young) >= LOOK_BACK:
            self._old, self._young = self._young, set()
        self._young.add(id_text)
        return True


class Reading:
    """One way through the log; calls are serialised, so that it can be closed while somebody waits."""

    def __init__(self, reader: Reader, topic: str, start: Positions, ends: Positions, codec: Codec) -> None:
        self.start = start
        self._ends = ends  # when it was opened
        self._reader = reader
        self._topic = topic
        self._codec = codec
        self._ids = [_Ids() for _ in start]
        self._lock = threading.Lock()
        self._closed = False

    def take(self, count_max: int, timeout_s: float) -> Sequence[Step]:
        """Return the next records, waiting only for the first; raises Transport or BadInput."""
        with self._lock:
            if self._closed:
                return ()
            records = self._reader.consume(count_max, timeout_s)
        return [step for record in records if (step := self._step(record)) is not None]

    def passed(self) -> Positions:
        """Return how far reading has come, markers that are no records included."""
        with self._lock:
            found = {} if self._closed else self._reader.positions
            return tuple(max(at, found.get((self._topic, p), at)) for p, at in enumerate(self.start))

    def behind(self) -> int:
        """Return how many offsets lie before it, as far as is known."""
        with self._lock:
            lag = {} if self._closed else self._reader.lag()
        passed = self.passed()
        return sum(
            max(end - at, lag.get((self._topic, p), 0), 0)
            for p, (end, at) in enumerate(zip(self._ends, passed, strict=True))
        )

    def close(self) -> None:
        """End it; waits for a `take` that is under way."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._reader.close()

    def _step(self, record: Record) -> Step | None:
        raw = record.value or b""
        history = record.offset < self.start[record.partition]
        try:
            id_text, _ = peek(raw)
            new = self._ids[record.partition].is_new(id_text)
            event = self._codec.decode(raw, EventRecord) if new and not history else None
        except UndecodableError:
            event = None  # the sink keeps it as a dead letter
        if history:
            return None
        if event is None:
            return Step(record.partition, record.offset, None)
        live = LiveEvent(event, partition=record.partition, offset=record.offset, size_bytes=len(raw))
        return Step(record.partition, record.offset, live)


class LiveLog:
    """Where readings begin."""

    def __init__(self, open_reader: Callable[[], Reader], topic: str, partitions: int, codec: Codec) -> None:
        self.partitions = partitions
        self._open_reader = open_reader
        self._topic = topic
        self._codec = codec

    def read(self, start: Positions | None) -> Reading:
        """Begin at `start`, or at the end as it is now. Raises PositionGone, Transport or BadInput."""
        reader = self._open_reader()
        try:
            bounds = [reader.watermarks(self._topic, p) for p in range(self.partitions)]
            ends = tuple(high for _, high in bounds)
            begin = ends if start is None else start
            for partition, (at, (low, high)) in enumerate(zip(begin, bounds, strict=True)):
                _check_held(partition, at, low, high)
            reader.assign(
                {
                    (self._topic, partition): max(low, at - LOOK_BACK)
                    for partition, (at, (low, _)) in enumerate(zip(begin, bounds, strict=True))
                }
            )
            return Reading(reader, self._topic, begin, ends, self._codec)
        except BaseException:
            reader.close()
            raise


def _check_held(partition: int, at: int, low: int, high: int) -> None:
    if not low <= at <= high:
        raise PositionGone(
            f"The position lies at offset {at} of partition {partition}; the log holds {low} to {high}. "
            "Begin anew, and ask the store for what came between."
        )
