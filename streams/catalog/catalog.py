"""The triggers log in memory: which definitions are in force now, and which were at any earlier offset."""

import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType

from schemas.record import Trigger
from streams.errors import Transport

_SNAPSHOTS_MAX = 16


class Catalog:
    """Fed by one reader in log order, asked by any thread. Snapshots are immutable.

    An offset here is exclusive, as `Candidate.triggers_offset`: definitions at lower offsets count.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._position = 0
        self._offsets: list[int] = []  # of every definition, ascending
        self._history: dict[str, list[tuple[int, Trigger]]] = {}  # by name, ascending
        self._snapshots: OrderedDict[int, Mapping[str, Trigger]] = OrderedDict()  # by revision

    @property
    def position(self) -> int:
        """The offset below which everything is known."""
        return self._position

    def apply(self, record: Trigger, offset: int) -> None:
        """Take the record at `offset` in; one that was taken before changes nothing."""
        with self._changed:
            if self._offsets and offset <= self._offsets[-1]:
                return
            self._offsets.append(offset)
            self._history.setdefault(record.name, []).append((offset, record))

    def advance(self, position: int) -> None:
        """Say that everything below `position` was applied, and wake who waits for it."""
        with self._changed:
            if position > self._position:
                self._position = position
                self._changed.notify_all()

    def wait_for(self, offset: int, timeout_s: float) -> bool:
        """Return whether everything below `offset` is known, waiting up to `timeout_s` for it."""
        with self._changed:
            return self._changed.wait_for(lambda: self._position >= offset, timeout_s)

    def revision(self, offset: int) -> int:
        """Return a number that is equal for two offsets exactly when no definition lies between them."""
        with self._changed:
            return bisect_left(self._offsets, offset)

    def in_force(self, offset: int | None = None) -> Mapping[str, Trigger]:
        """Return the definitions in force at `offset` (exclusive), or now; removed ones are not among them.

        Raises Transport when `offset` lies beyond what was read: wait for it first.
        """
        with self._changed:
            at = self._position if offset is None else offset
            if at > self._position:
                raise Transport(
                    f"definitions below offset {at} are asked for, but the triggers log was read only up to "
                    f"{self._position}; wait for it first"
                )
            revision = bisect_left(self._offsets, at)
            found = self._snapshots.get(revision)
            if found is None:
                found = self._snapshots[revision] = MappingProxyType(dict(self._live(at)))
                if len(self._snapshots) > _SNAPSHOTS_MAX:
                    self._snapshots.popitem(last=False)
            else:
                self._snapshots.move_to_end(revision)
            return found

    def newest(self) -> Mapping[str, tuple[int, Trigger]]:
        """Return the newest record of every name with its offset, removals included."""
        with self._changed:
            return {name: history[-1] for name, history in self._history.items()}

    def _live(self, at: int) -> list[tuple[str, Trigger]]:
        found = []
        for name in sorted(self._history):
            history = self._history[name]
            count = bisect_left(history, at, key=lambda item: item[0])
            if count and not history[count - 1][1].removed:
                found.append((name, history[count - 1][1]))
        return found
