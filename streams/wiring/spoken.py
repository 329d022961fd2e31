"""When sources spoke last, for the gateway's silence alarm: from the store, as far as it is complete."""

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from streams.clock import SystemClock
from streams.gateway.health import Readiness
from streams.gateway.listening import Listening
from streams.gateway.silence import RESOURCE, Heard, Publisher, SilenceAlarm, View
from streams.local.instance import write_json
from streams.settings import Settings
from streams.source_settings import Source
from streams.store.queries.reader import StoreReader
from streams.store.queries.sources import last_heard, last_words
from streams.wiring.sink_lag import StoredLag

_UNDER_WAY_US = 3_000_000  # from `received` to the log; what is on its way is not silence


class StoredSpoken:
    """Implements the gateway's port `Spoken`."""

    def __init__(self, store: StoreReader, lag: StoredLag) -> None:
        self._store = store
        self._lag = lag

    async def look(self, names: Mapping[str, int]) -> View:
        """As the port says."""
        return await asyncio.to_thread(self._look, names)

    def _look(self, names: Mapping[str, int]) -> View:
        # First how far the store is, then what is in it: what comes between the two only adds to it.
        complete_us = self._lag.complete_us() - _UNDER_WAY_US
        last = last_heard(self._store, list(names), min(names.values()))
        words = last_words(self._store, [RESOURCE + name for name in names])
        return View(
            complete_us=complete_us,
            heard={
                name: Heard(last_us=last.get(name), silent_since=_silent_since(words.get(RESOURCE + name)))
                for name in names
            },
        )


def _silent_since(word: Mapping[str, Any] | None) -> str | None:
    return str(word["last_event_at"]) if word is not None and word["word"] == "silent" else None


def kept_listening(data: Path) -> tuple[Listening, Callable[[Any], None]]:
    """Return when the gateway of this folder listened, and what keeps it there."""
    path = data / "sources" / "listening.json"
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        value = None
    return Listening.of_json(value), lambda current: write_json(path, current)


class Silence:
    """The silence alarm of one gateway: made before it listens, run while it does.

    Args:
        settings: Where Kafka and the data folder are.
        store: A reader.
        sources: All sources now.

    """

    def __init__(
        self, settings: Settings, store: StoreReader, sources: Callable[[], Mapping[str, Source]]
    ) -> None:
        self._clock = SystemClock()
        lag = StoredLag(settings.kafka, settings.kafka.topics(), store, self._clock)
        self._spoken = StoredSpoken(store, lag)
        self._sources = sources
        self._data = settings.data
        self._readiness: Readiness | None = None
        self._alarm: SilenceAlarm | None = None

    def made(self, readiness: Readiness) -> None:
        """Take what tells whether events can come in."""
        self._readiness = readiness

    async def run(self, publisher: Publisher) -> None:
        """Watch until cancelled."""
        kept, keep = kept_listening(self._data)
        self._alarm = SilenceAlarm(
            sources=self._sources,
            spoken=self._spoken,
            publisher=publisher,
            listens=self._listens,
            clock=self._clock,
            listening=kept,
            save=keep,
        )
        await self._alarm.run()

    def metrics(self) -> bytes:
        """Return the silent sources in Prometheus' text form."""
        return self._alarm.metrics() if self._alarm is not None else b""

    async def _listens(self) -> bool:
        return self._readiness is not None and (await self._readiness.check()).ready
