"""The id window: the one rule by which sink and router tell new from known."""

import pytest

from schemas.dedupe import SKEW_US, IdWindow
from schemas.identity import derived_id
from schemas.new_id import new_id

pytestmark = pytest.mark.unit

HOUR_US = 3_600_000_000
NOW_US = 1_790_000_000_000_000


def v7(at_us: int) -> str:
    return new_id(at_us // 1000)


def test_second_arrival_is_a_duplicate() -> None:
    """An id seen before within the window is a duplicate, whatever kind of id it is."""
    window = IdWindow(HOUR_US, 100, from_start=True)
    for one in (v7(NOW_US), derived_id("no time in it")):
        assert window.seen(one, NOW_US) == "new"
        assert window.seen(one, NOW_US + 1) == "duplicate"


def test_partition_read_from_its_start_asks_nothing() -> None:
    """While nothing was dropped, an absent id is new even without a time of its own."""
    window = IdWindow(HOUR_US, 100, from_start=True)
    assert window.seen(derived_id("a"), NOW_US) == "new"
    assert window.seen(v7(NOW_US - 90 * HOUR_US), NOW_US) == "new"


def test_fresh_window_in_the_middle_of_a_log_asks() -> None:
    """A window that was not rebuilt trusts no id's absence."""
    window = IdWindow(HOUR_US, 100)
    assert window.seen(v7(NOW_US), NOW_US) == "ask"


def test_rebuilt_window_trusts_recent_ids_only() -> None:
    """After a rebuild, ids younger than its start are new; older, timeless and future ones are asked."""
    window = IdWindow(HOUR_US, 100)
    window.remember(v7(NOW_US), NOW_US)
    later = NOW_US + 2 * SKEW_US
    assert window.seen(v7(later), later) == "new"
    assert window.seen(v7(NOW_US + SKEW_US - 1_000_000), later) == "ask"
    assert window.seen(derived_id("timeless"), later) == "ask"
    assert window.seen(v7(later + SKEW_US + 1_000_000), later) == "ask"
    assert window.seen("11111111-2222-4333-8444-555555555555", later) == "ask"


def test_age_moves_the_start_of_trust() -> None:
    """Ids dropped by age are asked when they come again, never taken for new."""
    window = IdWindow(HOUR_US, 100, from_start=True)
    first = v7(NOW_US)
    assert window.seen(first, NOW_US) == "new"
    later = NOW_US
    for _ in range(3):
        later += HOUR_US + 1_000_000
        assert window.seen(v7(later), later) == "new"
    assert len(window) == 2
    assert window.seen(first, later) == "ask"


def test_count_bounds_the_window() -> None:
    """No more than `ids_max` ids are held, and what was dropped is asked."""
    window = IdWindow(HOUR_US, 10, from_start=True)
    ids = [v7(NOW_US + n * 1000) for n in range(50)]
    for n, one in enumerate(ids):
        window.seen(one, NOW_US + n * 1000)
    assert len(window) == 10
    assert window.seen(ids[0], NOW_US + 60_000) == "ask"
    assert window.seen(ids[-1], NOW_US + 60_000) == "duplicate"


def test_broker_clock_going_back_drops_nothing_early() -> None:
    """Log time is folded to its maximum, so a clock that steps back cannot make an id young again."""
    window = IdWindow(HOUR_US, 100, from_start=True)
    one = v7(NOW_US)
    window.seen(one, NOW_US)
    assert window.seen(v7(NOW_US + 1), NOW_US - 2 * HOUR_US) == "new"
    assert window.seen(one, NOW_US) == "duplicate"


def test_forgotten_id_may_come_again() -> None:
    """An id whose record could not be used is new when a corrected record follows."""
    window = IdWindow(HOUR_US, 100, from_start=True)
    one = v7(NOW_US)
    window.seen(one, NOW_US)
    window.forget(one)
    assert window.seen(one, NOW_US) == "new"
