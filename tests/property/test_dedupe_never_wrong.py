"""A window of any size never takes a known id for new."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dedupe import SKEW_US, IdWindow
from schemas.identity import derived_id

pytestmark = pytest.mark.property

START_US = 1_790_000_000_000_000
arrivals = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, SKEW_US // 2), st.integers(-2 * SKEW_US, SKEW_US)),
    max_size=80,
)


@given(arrivals, st.integers(1, 12), st.integers(1, 4 * SKEW_US), st.integers(0, 40), st.booleans())
def test_known_is_never_called_new(
    steps: list[tuple[int, int, int]], ids_max: int, for_us: int, rebuilt: int, from_start: bool
) -> None:
    """Whatever order, bounds and rebuild: `new` is said only of ids that never came before."""
    now = START_US
    ids: dict[int, str] = {}
    known: set[str] = set()
    window = IdWindow(for_us, ids_max, from_start=from_start)
    skipped = 0 if from_start else rebuilt // 2
    for n, (which, step_us, skew_us) in enumerate(steps):
        now += step_us
        if which not in ids:
            # Honest senders: at most five minutes ahead of the log at the first arrival, as old as they like.
            ids[which] = derived_id(which, ms=(now + skew_us) // 1000)
        one = ids[which]
        if n < skipped:
            pass  # before the part that is peeked
        elif n < rebuilt:
            window.remember(one, now)
        else:
            verdict = window.seen(one, now)
            assert not (verdict == "new" and one in known)
            assert not (verdict == "duplicate" and one not in known)
        known.add(one)
