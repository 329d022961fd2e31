"""Who writes right now: statements under way by their query id, and the epochs that sinks must hold."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from streams.store import sql_files
from streams.store.engine import EngineError, Handle

QUERY_IS_PROHIBITED = 392  # a sink's epoch is over
QUERY_WAS_CANCELLED = 394
_SINK_ID = re.compile(r"sink\.(\d+)\.(\d+)\.\w+")
_KILL = re.compile(
    r"\s*KILL\s+QUERY\s+WHERE\s+startsWith\(\s*query_id\s*,\s*'([\w.\-]+)'\s*\)\s+SYNC\s*;?\s*", re.IGNORECASE
)
_KILL_WAIT_S = 60.0


def kill_prefix(statement: str) -> str | None:
    """Return the prefix of `KILL QUERY WHERE startsWith(query_id, '…') SYNC`, else None."""
    found = _KILL.fullmatch(statement)
    return found[1] if found else None


class Running:
    """Statements of the writer, waiting or started."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._started: dict[int, str] = {}
        self._waiting: dict[int, str] = {}
        self._next = 0

    @contextmanager
    def waiting(self, query_id: str) -> Iterator[int]:
        """Note a statement before it gets the writing handle."""
        with self._changed:
            self._next += 1
            ticket = self._next
            self._waiting[ticket] = query_id
        try:
            yield ticket
        finally:
            with self._changed:
                self._waiting.pop(ticket, None)
                self._started.pop(ticket, None)
                self._changed.notify_all()

    def start(self, ticket: int) -> None:
        """Note that the statement begins; raises EngineError when it was killed while it waited."""
        with self._changed:
            query_id = self._waiting.pop(ticket, None)
            if query_id is None:
                raise EngineError(
                    "Code: 394. Query was cancelled while it waited. (QUERY_WAS_CANCELLED)",
                    code=QUERY_WAS_CANCELLED,
                )
            self._started[ticket] = query_id

    def kill(self, prefix: str) -> list[tuple[str, str]]:
        """Drop waiting statements of `prefix`, wait for started ones; returns (status, query id)."""
        with self._changed:
            dropped = [ticket for ticket, query_id in self._waiting.items() if query_id.startswith(prefix)]
            result = [("finished", self._waiting.pop(ticket)) for ticket in dropped]
            ending = {ticket: q for ticket, q in self._started.items() if q.startswith(prefix)}
            over = self._changed.wait_for(
                lambda: not any(ticket in self._started for ticket in ending), timeout=_KILL_WAIT_S
            )
        return result + [("finished" if over else "waiting", query_id) for query_id in ending.values()]


class Leases:
    """The newest epoch of every sink ordinal. Use it only while holding the writing handle."""

    def __init__(self) -> None:
        self._epochs: dict[int, int] = {}

    def load(self, handle: Handle) -> None:
        """Read the epochs granted so far."""
        text = handle.query(sql_files.query_text("lease_epochs"), "TSV").data.decode()
        pairs = (line.split("\t") for line in text.splitlines())
        self._epochs = {int(ordinal): int(epoch) for ordinal, epoch in pairs}

    def check(self, query_id: str) -> None:
        """Raise EngineError when `query_id` names a sink whose epoch is over."""
        found = _SINK_ID.fullmatch(query_id)
        if found is None:
            return
        ordinal, epoch = int(found[1]), int(found[2])
        newest = self._epochs.get(ordinal, 0)
        if epoch != newest:
            raise EngineError(
                f"Code: 392. Sink {ordinal} writes under lease {epoch}, but {newest} was granted last: "
                "another sink has its place, this one must stop. (QUERY_IS_PROHIBITED)",
                code=QUERY_IS_PROHIBITED,
            )
