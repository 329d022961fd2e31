"""The ids of a partition's newest events: what deduplication knows without asking the store.

The rule is that of `schemas.dedupe` (a property test holds both to it). The form is the router's own, because
it looks at every event of the installation: `IdWindow` takes 2.2 µs an event, this 0.2.
"""

from schemas.dedupe import SKEW_US
from schemas.identity import id_time_ms

_SKEW_MS = SKEW_US // 1000


class KnownIds:
    """Ids in two generations: when the young one is full it becomes the old one, and the old one goes.

    So between half of `ids_max` and all of it is remembered, at two set look-ups an event and no eviction
    per event. The scan uses `young` and `old` directly: a call per event would cost more than the rest.
    """

    def __init__(self, ids_max: int) -> None:
        self._generation_max = max(ids_max // 2, 1)
        self.young: set[bytes] = set()
        self.old: set[bytes] = set()
        self._young_from = self._old_from = (0, 0)  # offset and log time (ms) of the first event in it
        self._log_ms = 0

    @property
    def covers_from_offset(self) -> int:
        """Every event at or above this offset is known; 0 when the log's whole history is."""
        return self._old_from[0]

    def start(self, offset: int, log_ms: int) -> None:
        """Say where the first remembered event lies; at offset 0 nothing can have come before."""
        self._log_ms = log_ms
        self._young_from = self._old_from = (offset, log_ms)

    def turn(self, offset: int, log_ms: int) -> None:
        """Age by a generation if the young one is full; call it before a batch that starts at `offset`."""
        self._log_ms = max(
            self._log_ms, log_ms
        )  # log time never goes back, even where the broker's clock does
        if len(self.young) >= self._generation_max:
            self.old, self.young = self.young, set()
            self._old_from, self._young_from = self._young_from, (offset, self._log_ms)

    def forget(self, id_text: str) -> None:
        """Take an id back: its event could not be used, a corrected one may follow."""
        self.young.discard(id_text.encode("ascii"))

    def must_ask(self, id_text: str, log_ms: int) -> bool:
        """Whether an id that is not remembered may yet have come before (DESIGN 5.3).

        It may not when nothing was forgotten, or when the id's own time says that its first delivery
        would lie among what is remembered: an id is never used more than 5 min before the time in it.
        """
        offset, from_ms = self._old_from
        if offset == 0:
            return False
        at_ms = id_time_ms(id_text)
        return at_ms is None or at_ms > log_ms + _SKEW_MS or at_ms - _SKEW_MS <= from_ms
