"""What the sink asks of others; tests put their own in."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from schemas.record import DeadLetter

Place = tuple[str, int]  # topic, partition


class Stored(Protocol):
    """The store as the sink's writer sees it (streams.store.client.StoreWriter)."""

    def take_lease(self) -> int:
        """Become this ordinal's only sink."""
        ...

    def check_lease(self) -> None:
        """Raise Fenced when another sink has become it."""
        ...

    def end_statements(self) -> None:
        """Wait for the end of what this ordinal may still run."""
        ...

    def progress(self) -> dict[Place, int]:
        """Return the next offset of every partition handled."""
        ...

    def save_progress(self, progress: Mapping[Place, int]) -> None:
        """Note what is handled."""
        ...

    def offsets_from(
        self, table: str, topic: str, least: int, partitions: Collection[int]
    ) -> set[tuple[int, int]]:
        """Return (partition, offset) of stored rows."""
        ...

    def known_ids(self, table: str, ids: Sequence[str]) -> set[str]:
        """Return the ids that are stored."""
        ...

    def columns(self, table: str) -> frozenset[str]:
        """Return the names an insert may use."""
        ...

    def insert(self, table: str, columns: Sequence[str], avro: bytes) -> None:
        """Store rows: all, or Poison, or Transport with an unknown outcome."""
        ...


class Refusals(Protocol):
    """Where records go that can never be stored."""

    def put(self, letter: DeadLetter) -> None:
        """Write a dead letter; returns once it is durable, raises Transport when it is not."""
        ...
