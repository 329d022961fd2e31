"""Following the schemas of event names on a thread, so that a registration counts within a second or two."""

import logging
import threading
from collections.abc import Callable, Mapping

from schemas.event_type import EventType
from streams.errors import EnsueError
from streams.registry.event_schemas import EventSchemas

_log = logging.getLogger(__name__)
LOOK_EVERY_S = 1.0


class TypeFollower:
    """Asks the registry each second. While it is away, what is known stays in force.

    Args:
        schemas: What is followed.
        take: Called with all types when some have changed; an EnsueError makes it be called again.

    """

    def __init__(
        self,
        schemas: EventSchemas,
        take: Callable[[Mapping[str, EventType]], None],
        *,
        every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._schemas = schemas
        self._take = take
        self._every_s = every_s
        self._untaken: Mapping[str, EventType] | None = None
        self._trouble = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="event-types", daemon=True)

    def look(self) -> None:
        """Ask once; raises EnsueError when the registry, or who takes the types, is away."""
        found = self._schemas.changed()
        if found is not None:
            self._untaken = found
        if self._untaken is not None:
            self._take(self._untaken)
            _log.info("%d event names have a schema", len(self._untaken))
            self._untaken = None

    def start(self) -> None:
        """Follow from now on."""
        self._thread.start()

    def close(self) -> None:
        """End following; what was taken stays."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.look()
            except EnsueError as error:
                if not self._trouble:
                    _log.warning("schemas of events are not followed: %s; what is known stays", error)
                self._trouble = str(error)
            except Exception:
                # Whatever it is, typed events must not silently stay as they were for ever.
                _log.exception("a fault of ours while following the schemas of events; trying again")
            else:
                if self._trouble:
                    _log.info("schemas of events are followed again")
                self._trouble = ""
            self._stop.wait(self._every_s)
