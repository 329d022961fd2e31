"""What the store knows already: for deduplication, journal and health."""

import asyncio
import re
from collections.abc import Collection, Iterator, Sequence

from streams.errors import Transport
from streams.store.queries.reader import StoreReader

IDS_PER_QUERY = 500
_ID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


def known_events(
    store: StoreReader, ids: Collection[str], *, partition: int | None = None, before: int = 0
) -> set[str]:
    """Return those ids that are stored; with `partition`, only those there and below offset `before`."""
    found: set[str] = set()
    for some in _chunks(ids):
        values = {"ids": some, "partition": -1 if partition is None else partition, "before": before}
        found.update(row["known"] for row in store.rows("known_events", values))
    return found


def known_runs(store: StoreReader, ids: Collection[str]) -> dict[str, str]:
    """Return the latest stored state of those runs that are stored."""
    found: dict[str, str] = {}
    for some in _chunks(ids):
        found.update((row["id"], row["state"]) for row in store.rows("known_runs", {"ids": some}))
    return found


def stored_offset(store: StoreReader, topic: str, partition: int) -> int:
    """Return the offset below which every record of the partition is stored; 0 when nothing is.

    It lags what is visible by up to a second.
    """
    rows = store.rows("progress_of", {"topic": topic, "partition": partition})
    return int(rows[0]["next"])


def stored_offsets(store: StoreReader) -> dict[tuple[str, int], int]:
    """Return `stored_offset` of every partition that a sink has handled."""
    return {(row["topic"], row["partition"]): int(row["next"]) for row in store.rows("progress", {})}


class KnownEvents:
    """The router's look-up (streams.router.ports.KnownEvents), off the event loop."""

    def __init__(self, store: StoreReader, topic: str) -> None:
        self._store = store
        self._topic = topic

    async def earlier(self, ids: Collection[str], *, partition: int, before: int) -> Collection[str]:
        """Return those ids that stand in `partition` of the events log below offset `before`.

        Raises Transport when the store does not answer, or has not stored everything below `before` yet.
        """
        return await asyncio.to_thread(self._earlier, ids, partition, before)

    def _earlier(self, ids: Collection[str], partition: int, before: int) -> set[str]:
        stored = stored_offset(self._store, self._topic, partition)
        if stored < before:
            raise Transport(
                f"{self._topic}[{partition}] is stored up to offset {stored}, not yet to {before}; "
                "is the sink running?"
            )
        return known_events(self._store, ids, partition=partition, before=before)


def _chunks(ids: Collection[str]) -> Iterator[Sequence[str]]:
    """Ids of the form of one, some at a time: they travel in the address of a request."""
    listed = sorted(one for one in set(ids) if _ID.fullmatch(one))
    for start in range(0, len(listed), IDS_PER_QUERY):
        yield listed[start : start + IDS_PER_QUERY]
