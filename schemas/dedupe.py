"""Which ids of a partition were seen before: the one rule that sink and router share (DESIGN 5.3, 5.4). Pure.

An id absent from the window is new only if the window would hold it, had it been there before. That is so
when nothing was ever dropped from the window, or when the id's own time is trustworthy and recent: it lies
not in the future, and an earlier arrival (at most five minutes before the id's time) falls into the part
of the log that the window holds whole. Every other id has to be asked from the store.
"""

from collections import OrderedDict
from typing import Literal

from schemas.identity import id_time_ms

Seen = Literal["new", "duplicate", "ask"]
SKEW_US = 5 * 60 * 1_000_000  # a sender's clock may be this far ahead of the broker's
_NEVER = 1 << 63


class IdWindow:
    """The ids of one partition over the last `for_us` µs of log time, at most `ids_max` (about 200 B each).

    Rebuild it before use by giving the log before the resume position to `remember`, oldest first.
    `from_start` says that this reading begins where the partition itself begins.
    """

    __slots__ = ("_for_us", "_ids", "_ids_max", "_now_us", "_whole_from_us")

    def __init__(self, for_us: int, ids_max: int, *, from_start: bool = False) -> None:
        self._for_us = for_us
        self._ids_max = ids_max
        self._ids: OrderedDict[str, int] = OrderedDict()  # id → log time in µs, in log order
        self._now_us = 0
        self._whole_from_us = 0 if from_start else _NEVER

    def __len__(self) -> int:
        return len(self._ids)

    def remember(self, id_text: str, received_us: int) -> None:
        """Note an id of the log before the resume position."""
        self._step(received_us)
        if self._whole_from_us == _NEVER:
            # Records of the same time may lie just before the first one that was read.
            self._whole_from_us = received_us + 1
        self._ids.setdefault(id_text, self._now_us)
        self._bound()

    def seen(self, id_text: str, received_us: int) -> Seen:
        """Note an id and say what it is; after `ask` the store decides, and the id counts as seen.

        Args:
            id_text: the record's id, 36 characters.
            received_us: the record's log time (LogAppendTime) in µs.

        """
        self._step(received_us)
        if id_text in self._ids:
            return "duplicate"
        self._ids[id_text] = self._now_us
        verdict: Seen = "new" if self._would_hold(id_text, received_us) else "ask"
        if self._whole_from_us == _NEVER:
            self._whole_from_us = received_us + 1
        self._bound()
        return verdict

    def forget(self, id_text: str) -> None:
        """Take an id back: its record could not be used, a corrected one may follow."""
        self._ids.pop(id_text, None)

    def _would_hold(self, id_text: str, received_us: int) -> bool:
        if self._whole_from_us == 0:
            return True
        ms = id_time_ms(id_text)
        if ms is None:
            return False
        return ms * 1000 <= received_us + SKEW_US and ms * 1000 - SKEW_US >= self._whole_from_us

    def _step(self, received_us: int) -> None:
        """Log time never goes back, even where the broker's clock does."""
        self._now_us = max(self._now_us, received_us)

    def _bound(self) -> None:
        """Drop what is too old or too much; each drop moves the time from which the window is whole."""
        horizon = self._now_us - self._for_us
        while self._ids:
            oldest = next(iter(self._ids))
            at = self._ids[oldest]
            if at >= horizon and len(self._ids) <= self._ids_max:
                return
            del self._ids[oldest]
            self._whole_from_us = max(self._whole_from_us, at + 1)
