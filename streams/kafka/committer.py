"""One thread that commits the fences' transactions, so that no event loop waits for a commit."""

import logging
import threading
import time
from functools import cache
from typing import Protocol

_LOOK_EVERY_S = 0.25

log = logging.getLogger(__name__)


class Committed(Protocol):
    """A producer with a transaction that must not grow old."""

    def commit_due(self, now_s: float) -> bool:
        """Whether the transaction is old enough, by `time.monotonic()`."""
        ...

    def commit(self) -> None:
        """Commit; may block."""
        ...


class Committer:
    """Looks four times a second for transactions to commit."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open: set[Committed] = set()
        self._thread: threading.Thread | None = None

    def add(self, producer: Committed) -> None:
        """Commit for `producer` from now on."""
        with self._changed:
            self._open.add(producer)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="fence-commit", daemon=True)
                self._thread.start()
            self._changed.notify()

    def remove(self, producer: Committed) -> None:
        """Forget `producer`; a commit that is under way may still end."""
        with self._changed:
            self._open.discard(producer)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait(_LOOK_EVERY_S if self._open else None)
                current = list(self._open)
            now = time.monotonic()
            for producer in current:
                try:
                    if producer.commit_due(now):
                        producer.commit()
                except Exception:
                    log.exception(
                        "a fence's commit failed in an unforeseen way; its transaction will time out"
                    )


@cache
def shared_committer() -> Committer:
    """Return the process's one committer."""
    return Committer()
