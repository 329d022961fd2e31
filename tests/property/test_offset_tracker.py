"""What may be committed never passes what is unfinished."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.agents.offsets import OffsetTracker

pytestmark = pytest.mark.property


@given(
    start=st.integers(0, 1000),
    gaps=st.lists(st.integers(0, 5), min_size=1, max_size=60),
    order=st.randoms(use_true_random=False),
    crash_after=st.integers(0, 60),
)
def test_commit_never_passes_the_lowest_unfinished_offset(start, gaps, order, crash_after):
    """In any order of completions and at any crash point committed ≤ lowest unfinished, gaps or not."""
    tracker = OffsetTracker(start)
    offsets, at = [], start
    for gap in gaps:
        at += gap
        offsets.append(at)
        assert tracker.started(at)
        at += 1
    open_ones = set(offsets)
    shuffled = list(offsets)
    order.shuffle(shuffled)
    for offset in shuffled[:crash_after]:
        tracker.finished(offset)
        open_ones.discard(offset)
        due = tracker.due()
        if due is not None:
            assert due <= min(open_ones, default=at)
            tracker.committed(due)
    if not open_ones:
        assert tracker.due() is None
        assert tracker.unfinished == 0


@given(st.lists(st.integers(0, 30), min_size=1, max_size=80))
def test_a_redelivered_offset_is_not_started_twice(reads):
    """Whatever is read again, each offset starts once and only in ascending order."""
    tracker = OffsetTracker(0)
    begun = [offset for offset in reads if tracker.started(offset)]
    assert begun == sorted(set(begun))
    for offset in begun:
        tracker.finished(offset)
    assert tracker.due() == begun[-1] + 1
