"""One partition of a stored topic, as its sink knows it."""

from dataclasses import dataclass, field

from schemas.dedupe import IdWindow
from streams.store.tables import Target


@dataclass(slots=True, kw_only=True)
class SinkPlace:
    """Position and memory of a partition.

    Attributes:
        target: Where its records go.
        partition: Which one.
        resume: Everything below is handled; records before it only fill the window.
        next: The next offset to handle.
        window: Ids seen.
        stored: Per table, offsets at or above `resume` that an earlier life had stored already.
        saved: The `next` that the store knows.

    """

    target: Target
    partition: int
    resume: int
    next: int
    window: IdWindow
    stored: dict[str, set[int]] = field(default_factory=dict)
    saved: int = -1

    def has(self, table: str, offset: int) -> bool:
        """Whether an earlier life has stored this record in `table`."""
        return offset in self.stored.get(table, ())
