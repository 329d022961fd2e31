"""What the other rooms may ask of a log; real clients and the in-memory log keep it alike."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Protocol

from streams.kafka.completion import Outcome
from streams.kafka.record import Delivery, Headers, Outgoing, Place, Record


class LogWriter(Protocol):
    """Writes with acknowledgement; never blocks, refuses with Overload instead."""

    @property
    def healthy(self) -> bool:
        """Whether, as far as is known, the broker would take a record now."""
        ...

    @property
    def in_flight(self) -> int:
        """Records taken and not yet answered."""
        ...

    def produce(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
    ) -> "Future[Delivery]":
        """Take one record; raises Overload, Poison or Transport when it does not."""
        ...

    def produce_batch(self, records: Sequence[Outgoing], on_done: Callable[[list[Outcome]], None]) -> None:
        """Take all or none; `on_done` gets one outcome a record, once, on another thread."""
        ...

    async def send(self, record: Outgoing) -> Delivery:
        """Write one record and wait for its acknowledgement."""
        ...

    async def send_batch(self, records: Sequence[Outgoing]) -> list[Outcome]:
        """Write records together and wait until each has its outcome."""
        ...

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Return whether every record taken so far had its answer within the time."""
        ...

    def close(self, timeout_s: float = 10.0) -> None:
        """Wait for answers, then end."""
        ...


class LogSource(Protocol):
    """Reads explicit partitions from explicit offsets; one thread at a time."""

    @property
    def positions(self) -> Mapping[Place, int]:
        """Next offset of every assigned partition; gaps (markers, compaction) count as read."""
        ...

    def assign(self, offsets: Mapping[Place, int]) -> None:
        """Read exactly these partitions from these offsets; BEGINNING and END are understood."""
        ...

    def consume(self, count_max: int, timeout_s: float) -> list[Record]:
        """Return what is there, waiting only for the first record; in log order within a partition."""
        ...

    def watermarks(self, topic: str, partition: int) -> tuple[int, int]:
        """Return (first offset, offset after the last) as of now."""
        ...

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Continue an assigned partition elsewhere."""
        ...

    def pause(self, places: Sequence[Place]) -> None:
        """Stop handing out records of these partitions."""
        ...

    def resume(self, places: Sequence[Place]) -> None:
        """Hand out their records again."""
        ...

    def lag(self) -> Mapping[Place, int]:
        """Offsets between position and end of every assigned partition, as last heard."""
        ...

    def close(self) -> None:
        """End reading."""
        ...
