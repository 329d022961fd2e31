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


def last_words(store: StoreReader, resource_ids: Sequence[str]) -> dict[str, Row]:
    """Return the newest of `silent` and `resumed` as `word`, with its `last_event_at`, by resource id."""
    rows = store.rows("source_words", {"resources": list(resource_ids)})
    return {row["resource_id"]: row for row in rows}


def last_heard(store: StoreReader, names: Sequence[str], since_us: int) -> dict[str, int]:
    """Return when each source's newest event was received, µs, of what was received since then."""
    rows = store.rows("sources_heard", {"names": list(names), "since_us": since_us})
    return {row["source"]: int(row["last_us"]) for row in rows}


def known_objects(store: StoreReader, places: Sequence[str], since: datetime) -> list[Row]:
    """Return what is stored since then of objects between the first and the last of `places`.

    Each row is one change: resource_id, gone (a deletion), etag, version, size, at.
    """
    if not places:
        return []
    ordered = sorted(places, key=str.encode)  # as the store compares texts
    bounds = {"first": ordered[0], "last": ordered[-1], "since": time_value(since, end=False)}
    return store.rows("objects_known", bounds)
