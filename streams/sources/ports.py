"""Where a source that watches by itself puts what it saw."""

from collections.abc import Sequence
from typing import Protocol

from schemas.event import Event


class Publisher(Protocol):
    """The gateway's intake, as a source sees it."""

    async def publish(self, events: Sequence[Event]) -> None:
        """Return once all are acknowledged, in order; raises Overload or Transport: then send all again."""
        ...

    async def bury(
        self,
        raw: bytes,
        *,
        source: str,
        reason: str,
        error: str,
        headers: str = "{}",
        place: tuple[str, int, int] | None = None,
    ) -> str:
        """Keep what is unusable in the dead letters; return its id once acknowledged.

        Args:
            raw: The bytes as they came.
            source: The source's name.
            reason: One of `schemas.dead_letter.Reason`.
            error: What is wrong, and with what.
            headers: JSON text without secrets.
            place: Topic, partition and offset when it lies in a log; then each place has a letter of its own.

        Raises Overload or Transport.

        """
        ...
