"""What the store knows of sources: when they spoke last, and what they left unusable."""

from collections.abc import Sequence
from datetime import datetime

from streams.store.queries.lists import time_value
from streams.store.queries.reader import Row, StoreReader


def seen(store: StoreReader, names: Sequence[str]) -> dict[str, Row]:
    """Return `last_event` (time), `events_24h` and open `dead_letters` of those that have any."""
    found: dict[str, Row] = {}
    for query in ("sources_seen", "sources_letters"):
        for row in store.rows(query, {"names": list(names)}):
            found.setdefault(row["source"], {}).update(row)
    return found


def marked(store: StoreReader, source: str, mark: str, since: datetime) -> list[Row]:
    """Return a source's events received since then whose labels or payload hold `mark`."""
    return store.rows(
        "source_marked", {"source": source, "mark": mark, "since": time_value(since, end=False)}
    )


def last_word(store: StoreReader, resource_id: str) -> Row | None:
    """Return the newest of a source's `silent` and `resumed` with its `last_event_at`; None: neither."""
    rows = store.rows("source_words", {"resource": resource_id})
    return rows[0] if rows else None


def known_objects(store: StoreReader, places: Sequence[str], since: datetime) -> list[Row]:
    """Return what is stored since then of objects between the first and the last of `places`.

    Each row is one change: resource_id, gone (a deletion), etag, version, size, at.
    """
    if not places:
        return []
    ordered = sorted(places, key=str.encode)  # as the store compares texts
    bounds = {"first": ordered[0], "last": ordered[-1], "since": time_value(since, end=False)}
    return store.rows("objects_known", bounds)
