"""Which triggers an event may interest, asked once per event of the whole installation.

The common answer is "none", and it must cost the same with ten triggers and ten thousand: exact names sit in
a dict, names seen before in a bounded cache, and triggers of one name are told apart by one literal label.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

from flows.core import predicate
from flows.core.trigger import Trigger
from flows.core.view import EventView, view
from schemas.record import EventRecord

NAMES_CACHED_MAX = 10_000


@dataclass(slots=True)
class _Named:
    """The triggers of one event name, with a way to the few whose labels can fit."""

    triggers: tuple[Trigger, ...]
    by_label: dict[str, dict[str, list[Trigger]]] = field(default_factory=dict)
    others: list[Trigger] = field(default_factory=list)

    def __post_init__(self) -> None:
        for trigger in self.triggers:
            literal = next((m for m in trigger.match if m.literals is not None), None)
            if literal is None or literal.literals is None:
                self.others.append(trigger)
                continue
            for value in dict.fromkeys(literal.literals):
                self.by_label.setdefault(literal.label, {}).setdefault(value, []).append(trigger)

    def possible(self, event: EventView) -> list[Trigger]:
        """Return the triggers whose literal label fits, by name."""
        found = list(self.others)
        for label, by_value in self.by_label.items():
            value = predicate.lookup(event.resource, label)
            if value is not None:
                found += by_value.get(value, ())
        return sorted(found, key=lambda trigger: trigger.name)


_NOBODY = _Named(())


@dataclass(slots=True)
class TriggerIndex:
    """A compiled, immutable set of triggers; a change of definitions compiles a new one."""

    triggers: tuple[Trigger, ...]
    _exact: dict[str, list[Trigger]]
    _globs: tuple[Trigger, ...]
    _seen: dict[str, _Named] = field(default_factory=dict)

    @classmethod
    def compile(cls, triggers: Iterable[Trigger]) -> Self:
        """Return the index; raises ValueError when two triggers have one name."""
        ordered = tuple(sorted(triggers, key=lambda trigger: trigger.name))
        for one, other in pairwise(ordered):
            if one.name == other.name:
                raise ValueError(f"two triggers are named {one.name}: a trigger's name is its identity")
        exact: dict[str, list[Trigger]] = {}
        globs: list[Trigger] = []
        for trigger in ordered:
            names = [pattern.literal for pattern in trigger.expect]
            if not names or None in names:
                globs.append(trigger)
            else:
                for name in dict.fromkeys(n for n in names if n is not None):
                    exact.setdefault(name, []).append(trigger)
        return cls(triggers=ordered, _exact=exact, _globs=tuple(globs))

    def by_name(self, event_name: str) -> tuple[Trigger, ...]:
        """Return the triggers that expect events of this name, by trigger name."""
        return self._named(event_name).triggers

    def candidates(self, event: EventRecord) -> list[tuple[Trigger, str]]:
        """Return (trigger, group key) of every trigger whose patterns the event satisfies.

        Paused triggers are among them, so that they can say `paused`. Raises ValueError when the record's
        labels are not JSON; labels are parsed only when some trigger expects the name.
        """
        named = self._named(event.event)
        if not named.triggers:
            return []
        seen = view(event)
        return [
            (trigger, trigger.group_key(seen))
            for trigger in named.possible(seen)
            if trigger.accepts_labels(seen)
        ]

    def _named(self, name: str) -> _Named:
        named = self._seen.get(name)
        if named is None:
            found = self._exact.get(name, []) + [t for t in self._globs if t.accepts_name(name)]
            named = _Named(tuple(sorted(found, key=lambda t: t.name))) if found else _NOBODY
            if len(self._seen) >= NAMES_CACHED_MAX:
                self._seen.clear()  # names from outside are unbounded, the cache is not
            self._seen[name] = named
        return named
