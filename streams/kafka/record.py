"""What goes into the log and what comes out of it."""

from collections.abc import Sequence
from typing import NamedTuple

from streams.kafka.log_record import LogRecord

Record = LogRecord
Headers = Sequence[tuple[str, bytes]]
Place = tuple[str, int]  # topic, partition


class Outgoing(NamedTuple):
    """One record to write; the partition is always explicit (schemas.shard), never the client's guess."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers | None = None

    @property
    def bytes(self) -> int:
        """What it counts against bounds in bytes; headers by their values, with a share for overhead."""
        size = 64 + len(self.key or b"") + len(self.value or b"")
        if self.headers:
            size += sum(len(name) + len(value) for name, value in self.headers)
        return size


class Delivery(NamedTuple):
    """Where the broker put an acknowledged record."""

    partition: int
    offset: int
    timestamp_ms: int  # the log's append time
