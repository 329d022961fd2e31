"""`ensue.source.silent`: a source that was to speak and did not; `ensue.source.resumed` when it does again.

Only what is proved is said: the store must be complete up to the moment that is judged, and time in which
nobody listened does not count. So neither our own lag nor a restart raises an alarm.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from schemas.event import Event, from_micros
from schemas.identity import derived_id
from streams.clock import Clock
from streams.errors import EnsueError
from streams.gateway.listening import Listening
from streams.gateway.source_counters import escaped
from streams.source_settings import Source

_log = logging.getLogger(__name__)
RESOURCE = "ensue://source/"
LOOK_EVERY_S = 1.0
_SILENT_LOOK_EVERY_S = 5.0
_LISTENS_EVERY_S = 4.0
_LATE_US = 60_000_000  # from `received` to the log at most, with all that may hold a request up


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the store has of a source.

    Attributes:
        last_us: When its newest event was received, µs; None: never, as far as was looked.
        silent_since: The `last_event_at` of an alarm that no `resumed` follows; None: there is none.

    """

    last_us: int | None = None
    silent_since: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Sources as stored; `complete_us` is the time up to which nothing is missing in the store, µs."""

    complete_us: int
    heard: Mapping[str, Heard]


class Spoken(Protocol):
    """What the store knows of sources."""

    async def look(self, names: Mapping[str, int]) -> View:
        """Return when they spoke last, looking at what was received from these times on, µs.

        Raises Transport when the store or Kafka does not answer.
        """
        ...


class Publisher(Protocol):
    """Where the alarm goes."""

    async def publish(self, events: list[Event]) -> None:
        """Return once acknowledged; raises Overload or Transport."""
        ...


@dataclass(slots=True)
class _Known:
    """One source as this gateway knows it."""

    last_us: int | None = None
    looked: bool = False
    from_us: int = 0  # what was received before is known
    silent_since: str | None = None  # as the alarm said it; "" for a source that never spoke
    look_at_s: float = 0.0


@dataclass(slots=True, kw_only=True)
class SilenceAlarm:
    """Watches every source that has `silence_after_s`.

    Attributes:
        sources: All sources now.
        spoken: The store's view.
        publisher: Where events go.
        listens: Asks whether events can come in right now.
        listening: What is kept over restarts; `save` keeps it.

    """

    sources: Callable[[], Mapping[str, Source]]
    spoken: Spoken
    publisher: Publisher
    listens: Callable[[], Awaitable[bool]]
    clock: Clock
    listening: Listening = field(default_factory=Listening)
    save: Callable[[Any], None] = lambda _: None
    _known: dict[str, _Known] = field(default_factory=dict)
    _asked_s: float = 0.0

    @property
    def silent(self) -> frozenset[str]:
        """The sources that are silent now."""
        return frozenset(name for name, known in self._known.items() if known.silent_since is not None)

    def metrics(self) -> bytes:
        """Return the silent sources in Prometheus' text form; names are keys of ensue.toml."""
        lines = [f'ensue_source_silent{{source="{escaped(name)}"}} 1\n' for name in sorted(self.silent)]
        return "".join(lines).encode()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.turn()
            except (EnsueError, OSError) as error:
                _log.warning("whether sources are silent is not known: %s", error)

    async def turn(self) -> None:
        """Judge once; raises what the ports raise, then nothing was said of what was not judged."""
        now_s = self.clock.now_us() / 1_000_000
        wanted = {name: s for name, s in self.sources().items() if s.silence_after_s is not None}
        self._known = {name: self._known.get(name, _Known()) for name in wanted}
        if not wanted:
            return
        self.listening.waiting_for(wanted, now_s)
        if now_s - self._asked_s >= _LISTENS_EVERY_S:
            if not await self.listens():
                return
            self._asked_s = now_s
            self.listening.note(now_s)
            self.save(self.listening.as_json())
        due = [name for name, source in wanted.items() if self._is_due(name, source, now_s)]
        if not due:
            return
        for name in due:
            self._known[name].look_at_s = now_s + _SILENT_LOOK_EVERY_S
        view = await self.spoken.look({name: self._known[name].from_us for name in due})
        for name in due:
            await self._judge(name, wanted[name], view)

    def _is_due(self, name: str, source: Source, now_s: float) -> bool:
        """Whether it is worth asking the store: it is silent, or could be."""
        known = self._known[name]
        if now_s < known.look_at_s:
            return False
        if not known.looked or known.silent_since is not None:
            return True
        return self.listening.heard_s(self._since_s(name, known), now_s) >= (source.silence_after_s or 0.0)

    def _since_s(self, name: str, known: _Known) -> float:
        return self.listening.since_s[name] if known.last_us is None else known.last_us / 1_000_000

    async def _judge(self, name: str, source: Source, view: View) -> None:
        known, heard = self._known[name], view.heard.get(name, Heard())
        known.from_us = max(0, view.complete_us - _LATE_US)
        if heard.last_us is not None:
            known.last_us = max(known.last_us or 0, heard.last_us)
        if not known.looked:
            known.looked, known.silent_since = True, heard.silent_since
        last_at = "" if known.last_us is None else _text(known.last_us)
        if known.silent_since is not None and known.silent_since != last_at:
            await self._say("resumed", name, source, about=known.silent_since, last_at=last_at)
            known.silent_since = None
        silent_s = self.listening.heard_s(self._since_s(name, known), view.complete_us / 1_000_000)
        if known.silent_since is None and silent_s >= (source.silence_after_s or 0.0):
            await self._say(
                "silent", name, source, about=last_at, last_at=last_at, silent_for_s=round(silent_s, 3)
            )
            known.silent_since = last_at

    async def _say(
        self, word: str, name: str, source: Source, *, about: str, last_at: str, **more: float
    ) -> None:
        """Publish; the id follows from source and last event, so several gateways say it once."""
        now_us = self.clock.now_us()
        place = RESOURCE + name
        event = Event(
            id=derived_id("ensue.source", word, name, about, ms=_millis(about)),
            event=f"ensue.source.{word}",
            resource_id=place,
            resource={"resource.id": place, "source": name, "kind": source.kind},
            occurred=from_micros(now_us),
            payload={
                "last_event_at": last_at or None,
                "silence_after_s": source.silence_after_s,
                **({"silent_since": about or None} if word == "resumed" else {}),
                **more,
            },
            source="gateway",
        )
        await self.publisher.publish([event])
        _log.warning("source %s is %s; its last event was received %s", name, word, last_at or "never")


def _text(us: int) -> str:
    return from_micros(us).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _millis(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000) if text else 0
