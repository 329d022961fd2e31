"""Stored events for somebody who comes back: oldest first, below given offsets, page by page."""

from collections.abc import Sequence

from streams.store.queries.reader import Row, StoreReader

_MIN_US = -2_208_988_800_000_000  # 1900, as DateTime64 has it
_MAX_US = 10_413_791_999_999_999  # 2299


def events_below(
    store: StoreReader,
    topic: str,
    below: Sequence[int],
    *,
    since_us: int,
    until_us: int,
    after: tuple[int, str],
    names: Sequence[str],
    prefixes: Sequence[str],
    limit: int,
) -> list[Row]:
    """Return events by (occurred, id), after `after`; times are µs since the epoch.

    `resource`, `related` and `payload` stay JSON texts. Raises Transport or Overload.
    """
    after_us, after_id = after
    values = {
        "topic": topic,
        "below": list(below),
        "since_us": _within(since_us),
        "until_us": _within(until_us),
        "after_us": _within(after_us),
        "after_id": after_id,
        "names": list(names),
        "prefixes": list(prefixes),
        "limit": limit,
    }
    return store.rows("backfill_events", values)


def _within(us: int) -> int:
    return max(_MIN_US, min(us, _MAX_US))
