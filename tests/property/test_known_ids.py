"""The router's window of ids is never wrong about what came before."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.identity import derived_id
from streams.router.known_ids import KnownIds

pytestmark = pytest.mark.property

START_MS = 1_763_000_000_000
MINUTE_MS = 60_000


@dataclass(frozen=True)
class Delivery:
    """One record of a log: which event, and how long after the one before it arrived."""

    event: int
    after_ms: int


LOGS = st.lists(
    st.builds(Delivery, event=st.integers(0, 30), after_ms=st.integers(0, 20 * MINUTE_MS)), max_size=60
)


def ids_of(log: list[Delivery], timed: set[int]) -> list[tuple[str, int]]:
    """The (id, log time in ms) of each delivery; an event's id holds the time of its first one, if any."""
    now_ms, first, found = START_MS, dict[int, str](), []
    for one in log:
        now_ms += one.after_ms
        first.setdefault(one.event, derived_id("e", one.event, ms=now_ms if one.event in timed else 0))
        found.append((first[one.event], now_ms))
    return found


@given(
    log=LOGS,
    timed=st.sets(st.integers(0, 30)),
    ids_max=st.integers(1, 12),
    start=st.integers(0, 60),
    size=st.integers(1, 7),
)
def test_what_is_not_remembered_and_not_asked_is_new(
    log: list[Delivery], timed: set[int], ids_max: int, start: int, size: int
) -> None:
    """Whatever was forgotten, an id counts as new unasked only if it never came before."""
    deliveries = ids_of(log, timed)
    start = min(start, len(deliveries))
    first = max(0, start - ids_max)
    known = KnownIds(ids_max)
    known.start(first, deliveries[first][1] if first < len(deliveries) else START_MS)
    for low, high in ((first, start), (start, len(deliveries))):
        for at in range(low, high, size):
            batch = list(enumerate(deliveries))[at : min(at + size, high)]
            known.turn(at, batch[0][1][1])
            for offset, (number, log_ms) in batch:
                raw = number.encode()
                came_before = number in {earlier for earlier, _ in deliveries[:offset]}
                remembered = raw in known.young or raw in known.old
                assert came_before or not remembered
                if not remembered and not known.must_ask(number, log_ms):
                    assert not came_before
                known.young.add(raw)


@given(log=LOGS, ids_max=st.integers(2, 12))
def test_it_is_bounded(log: list[Delivery], ids_max: int) -> None:
    """No more than `ids_max` ids are remembered, but for the batch that is under way."""
    known = KnownIds(ids_max)
    for offset, (number, log_ms) in enumerate(ids_of(log, set())):
        known.turn(offset, log_ms)
        known.young.add(number.encode())
        assert len(known.young) + len(known.old) <= ids_max
