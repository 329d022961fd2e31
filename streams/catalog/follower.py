"""Following the triggers log on a thread of its own, so that new definitions are in force at once."""

import logging
import threading
from collections.abc import Sequence

from schemas.codec import Codec
from streams.catalog.catalog import Catalog
from streams.catalog.log import PARTITION, DefinitionsLog, decoded
from streams.errors import EnsueError, Transport
from streams.kafka.batches import BEGINNING
from streams.kafka.ports import LogSource
from streams.kafka.record import Record

_log = logging.getLogger(__name__)
_POLL_S = 0.05
_RETRY_S = 0.2
_BATCH_MAX = 1000


class Follower:
    """Keeps a catalog at the log's end, within 50 ms when the broker answers.

    What lies in one batch becomes visible at once, so that a deployment is rarely seen by halves.
    """

    def __init__(self, log: DefinitionsLog, codec: Codec, catalog: Catalog | None = None) -> None:
        self.catalog = catalog or Catalog()
        self._definitions = log
        self._codec = codec
        self._stop = threading.Event()
        self._trouble = "it was not read yet"
        self._thread = threading.Thread(target=self._run, name="catalog", daemon=True)

    def start(self, timeout_s: float = 30.0) -> Catalog:
        """Follow from now on; return once everything that is there now is known; raises Transport."""
        reader = self._definitions.open_reader()
        try:
            end = reader.watermarks(self._definitions.topic, PARTITION)[1]
        finally:
            reader.close()
        self._thread.start()
        if not self.catalog.wait_for(end, timeout_s):
            self.close()
            raise Transport(
                f"{self._definitions.topic} was not read up to offset {end} within {timeout_s:g} s"
                + (f": {self._trouble}" if self._trouble else "")
            )
        return self.catalog

    @property
    def healthy(self) -> bool:
        """Whether the log is being followed."""
        return self._thread.is_alive() and not self._trouble

    def close(self) -> None:
        """End following; the catalog stays as it is."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.is_set():
            reader: LogSource | None = None
            try:
                reader = self._definitions.open_reader()
                self._follow(reader)
            except EnsueError as error:
                self._trouble = str(error)
                _log.warning("following %s: %s; trying again", self._definitions.topic, error)
                self._stop.wait(_RETRY_S)
            finally:
                if reader is not None:
                    reader.close()

    def _follow(self, reader: LogSource) -> None:
        place = (self._definitions.topic, PARTITION)
        reader.assign({place: self.catalog.position or BEGINNING})
        while not self._stop.is_set():
            batch = reader.consume(_BATCH_MAX, _POLL_S)
            if self._take(batch):
                self.catalog.advance(reader.positions[place])
                self._trouble = ""

    def _take(self, batch: Sequence[Record]) -> bool:
        """Take a batch in, waiting for the schema registry when it has to be asked; False when stopped."""
        while not self._stop.is_set():
            try:
                decoded(batch, self._codec, self.catalog.apply)
            except OSError as error:
                self._trouble = f"the schema registry does not answer: {error}"
                _log.warning("following %s: %s; trying again", self._definitions.topic, error)
                self._stop.wait(_RETRY_S)
            else:
                return True
        return False
