"""The topic `_schemas` behind the registry: one writer, and what it writes is read back before it counts."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Protocol

from streams.errors import EnsueError, Fenced, Overload, Transport
from streams.kafka.batches import BEGINNING
from streams.kafka.ports import LogSource
from streams.kafka.record import Place
from streams.registry import problem
from streams.registry.log_format import Entry, decode, encode

_log = logging.getLogger(__name__)
_POLL_S = 0.05
_RETRY_S = 0.5
_BATCH_MAX = 1000


class Writer(Protocol):
    """A tenure of the topic's one writer; opening it shut every former one out."""

    @property
    def usable(self) -> bool:
        """Whether another write may succeed, as far as is known."""
        ...

    def write(self, key: bytes, value: bytes | None) -> int:
        """Return the offset once acknowledged; raises Fenced, Overload or Transport (outcome unknown)."""
        ...

    def close(self) -> None:
        """Give the tenure back."""
        ...


class SchemaLog:
    """Reads the topic into `apply` on its own thread and appends with read-back.

    Args:
        reader: Used by the reading thread alone.
        place: Topic and partition.
        open_writer: Takes the topic over; blocks; raises Transport or Fenced.
        end: Asks the broker for the offset after the last record; blocks; raises Transport.
        apply: Takes each entry in, in log order, on the reading thread.
        timeout_s: For a write to be acknowledged and read back.

    """

    def __init__(
        self,
        reader: LogSource,
        place: Place,
        *,
        open_writer: Callable[[], Writer],
        end: Callable[[], int],
        apply: Callable[[Entry], None],
        timeout_s: float = 10.0,
    ) -> None:
        self._reader = reader
        self._place = place
        self._open_writer = open_writer
        self._end = end
        self._apply = apply
        self._timeout_s = timeout_s
        self._read = threading.Condition()
        self._position = -1  # next offset to read; everything below is applied
        self._trouble = "it was not read yet"
        self._writing = threading.Lock()
        self._writer: Writer | None = None
        self._fenced: Fenced | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="schema-log", daemon=True)

    def start(self) -> None:
        """Read everything that is there; blocks. Raises RegistryProblem when that takes too long."""
        self._thread.start()
        try:
            end = self._end()
        except EnsueError as error:
            raise problem.store_failed(error) from error
        self._wait_for(end, self._timeout_s)

    @property
    def healthy(self) -> bool:
        """Whether the topic is being read."""
        return self._thread.is_alive() and not self._trouble

    @property
    def writable(self) -> bool:
        """Whether this process holds the topic's writer, as far as it knows."""
        return self._writer is not None and self._fenced is None

    def take_over(self) -> None:
        """Open the writer ahead of the first write; raises RegistryProblem."""
        with self._writing:
            self._take_over()

    def append(self, entry: Entry) -> None:
        """Return once the entry is in the log and was read back from it; one call at a time.

        Raises RegistryProblem: after 50001 or 50002 the entry may or may not be in the log; the next append
        reads the log to its end before it writes.
        """
        key, value = encode(entry)
        with self._writing:
            writer = self._take_over()
            try:
                offset = writer.write(key, value)
            except Fenced as error:
                self._fenced = error
                self._drop_writer()
                raise problem.not_the_writer(error) from error
            except Overload as error:
                raise problem.store_failed(error) from error
            except (Transport, FutureTimeoutError) as error:
                self._drop_writer()
                raise problem.timed_out(f"the write was not acknowledged: {error}") from error
            self._wait_for(offset + 1, self._timeout_s)

    def _take_over(self) -> Writer:
        """Return a writer under which everything that any former one wrote has been read."""
        if self._fenced is not None:
            raise problem.not_the_writer(self._fenced)
        if self._writer is not None and not self._writer.usable:
            self._drop_writer()
        if self._writer is None:
            try:
                writer = self._open_writer()
            except EnsueError as error:
                raise problem.store_failed(error) from error
            try:
                self._wait_for(self._end(), self._timeout_s)
            except EnsueError as error:
                writer.close()
                raise problem.store_failed(error) from error
            except problem.RegistryProblem:
                writer.close()
                raise
            self._writer = writer
        return self._writer

    def _drop_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _wait_for(self, position: int, timeout_s: float) -> None:
        with self._read:
            self._read.wait_for(lambda: self._position >= position or self._stop.is_set(), timeout_s)
            if self._position < position:
                raise problem.timed_out(
                    f"{self._place[0]} was not read up to offset {position} within {timeout_s:g} s"
                    + (f": {self._trouble}" if self._trouble else "")
                )

    def close(self) -> None:
        """End reading and give the writer back."""
        self._stop.set()
        with self._read:
            self._trouble = "the registry is stopping"
            self._read.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout=5)
        with self._writing:
            self._drop_writer()
        self._reader.close()

    # --- the reading thread ---

    def _run(self) -> None:
        assigned = False
        while not self._stop.is_set():
            try:
                if not assigned:
                    self._reader.assign({self._place: max(self._position, 0) or BEGINNING})
                    assigned = True
                self._consume()
            except EnsueError as error:
                assigned = False
                self._trouble = str(error)
                _log.warning("reading %s: %s; trying again", self._place[0], error)
                self._stop.wait(_RETRY_S)

    def _consume(self) -> None:
        for record in self._reader.consume(_BATCH_MAX, _POLL_S):
            try:
                entry = decode(record.key, record.value)
            except ValueError as error:
                _log.error("%s at %s is left out: %s", self._place[0], record.place, error)
                continue
            if entry is not None:
                self._apply(entry)
        self._trouble = ""
        with self._read:
            self._position = self._reader.positions[self._place]
            self._read.notify_all()
