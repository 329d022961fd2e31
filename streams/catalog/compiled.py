"""Definitions as router and evaluate ask for them: compiled, for the newest and for earlier offsets."""

import asyncio
import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable

from flows.core.index import TriggerIndex
from flows.core.trigger import Trigger
from flows.definition import from_record
from flows.errors import InvalidDefinition
from schemas import record
from streams.catalog.catalog import Catalog

_log = logging.getLogger(__name__)
_COMPILED_MAX = 16
_LOOK_EVERY_S = 0.01


class CompiledDefinitions:
    """A catalog's definitions as trigger indexes; thread-safe."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._compiled: OrderedDict[int, TriggerIndex] = OrderedDict()  # by revision

    @property
    def position(self) -> int:
        """Offset after the last definition read."""
        return self._catalog.position

    async def reached(self, triggers_offset: int) -> None:
        """Return once everything below `triggers_offset` is read; waits out a broker that is away."""
        while self._catalog.position < triggers_offset:  # noqa: ASYNC110 - another thread reads
            await asyncio.sleep(_LOOK_EVERY_S)

    def in_force(self, triggers_offset: int) -> TriggerIndex:
        """Return the triggers defined below `triggers_offset`, compiled; raises Transport if not reached."""
        defined = self._catalog.in_force(triggers_offset)
        revision = self._catalog.revision(triggers_offset)
        with self._lock:
            found = self._compiled.get(revision)
            if found is not None:
                self._compiled.move_to_end(revision)
                return found
            found = self._compiled[revision] = TriggerIndex.compile(_triggers(defined.values()))
            if len(self._compiled) > _COMPILED_MAX:
                self._compiled.popitem(last=False)
            return found


def _triggers(defined: Iterable[record.Trigger]) -> list[Trigger]:
    found = []
    for item in defined:
        try:
            found.append(from_record(item))
        except InvalidDefinition as error:
            # Written past `publish`, or by a newer version of ours: the others must go on deciding.
            _log.error("trigger %s is not in force: %s", item.name, error)
    return found
