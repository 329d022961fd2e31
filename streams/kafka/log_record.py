"""What a partition's log holds, as every reader of ours hands it on."""

from collections.abc import Sequence
from typing import Any, NamedTuple


class LogRecord(NamedTuple):
    """One record of a log. A tuple, because recovery makes a hundred thousand of them."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int  # LogAppendTime: the broker's clock
    key: bytes | None
    value: bytes | None  # None is a tombstone
    headers: Sequence[tuple[str, bytes]]

    @property
    def place(self) -> str:
        """Topic, partition and offset for an error's text."""
        return f"{self.topic}[{self.partition}]@{self.offset}"


def from_message(message: Any) -> LogRecord:
    """Copy a confluent-kafka message that carries no error."""
    return LogRecord(
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        message.headers() or (),
    )
