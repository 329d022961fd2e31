"""Which ids of a partition were seen before: the one rule that sink and router share (DESIGN 5.3, 5.4). Pure.

An id absent from the window is new only if the window would hold it, had it been there before. That is so
when nothing was ever dropped from the window, or when the id's own time is trustworthy and recent: it lies
not in the future, and an earlier arrival (at most five minutes before the id's time) falls into the part
of the log that the window holds whole. Every other id has to be asked from the store.
"""

from typing import Literal

from schemas.identity import id_time_ms

Seen = Literal["new", "duplicate", "ask"]
SKEW_US = 5 * 60 * 1_000_000  # a sender's clock may be this far ahead of the broker's
_NEVER = 1 << 63


class IdWindow:
    """A partition's ids: at least `for_us` µs of log time, at most `ids_max` (about 120 B each).

    Two generations: when the young one is full or old enough it becomes the old one, and the old one goes.
    Rebuild the window before use by giving the log before the resume position to `remember`, oldest first;
    `from_start` says that this reading begins where the partition itself begins.
    """

    __slots__ = ("_for_us", "_half_max", "_now_us", "_old", "_whole_from_us", "_young", "_young_from_us")

    def __init__(self, for_us: int, ids_max: int, *, from_start: bool = False) -> None:
        self._for_us = for_us
        self._half_max = max(ids_max // 2, 1)
        self._young: set[str] = set()
        self._old: set[str] = set()
        self._now_us = 0  # log time never goes back, even where the broker's clock does
        self._young_from_us = -1  # log time of the newest record before the young generation
        self._whole_from_us = 0 if from_start else _NEVER

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def remember(self, id_text: str, received_us: int) -> None:
        """Note an id of the log before the resume position."""
        self._step(received_us)
        self._young.add(id_text)

    def seen(self, id_text: str, received_us: int) -> Seen:
        """Note an id and say what it is; after `ask` the store decides, and the id counts as seen.

        Args:
            id_text: the record's id, 36 characters.
            received_us: the record's log time (LogAppendTime) in µs.

        """
        if id_text in self._young or id_text in self._old:
            return "duplicate"
        whole_from_us = self._whole_from_us
        self._step(received_us)
        self._young.add(id_text)
        if whole_from_us == 0:
            return "new"
        ms = id_time_ms(id_text)
        if ms is None or ms * 1000 > received_us + SKEW_US or ms * 1000 - SKEW_US < whole_from_us:
            return "ask"
        return "new"

    def forget(self, id_text: str) -> None:
        """Take an id back: its record could not be used, a corrected one may follow."""
        self._young.discard(id_text)
        self._old.discard(id_text)

    def _step(self, received_us: int) -> None:
        """Go on to a record's log time; the generation that goes moves the start of what is whole."""
        if self._young_from_us < 0:
            # Records of the same time may lie just before the first one that was read.
            self._young_from_us = received_us
            if self._whole_from_us == _NEVER:
                self._whole_from_us = received_us + 1
        elif len(self._young) >= self._half_max or received_us - self._young_from_us > self._for_us:
            self._turn()
        self._now_us = max(self._now_us, received_us)

    def _turn(self) -> None:
        if self._old:
            self._whole_from_us = max(self._whole_from_us, self._young_from_us + 1)
        self._old, self._young = self._young, set()
        self._young_from_us = self._now_us
