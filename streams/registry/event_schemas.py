"""Schemas of event names in the registry: registered, listed, and what they demand."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from schemas.compatibility import InvalidSchemaError
from schemas.event_type import (
    EventType,
    UnfitName,
    breaking,
    event_type,
    name_of,
    subject_of,
    subject_prefix,
    view_of,
)
from schemas.payload_shape import shape_of
from streams.errors import BadInput
from streams.registry.client import HttpRegistry, SchemaRefused
from streams.registry.state import canonical

_log = logging.getLogger(__name__)
Texts = Mapping[int, tuple[int, str]]  # version → schema id, JSON text


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a registration; `new` is False when this text was registered before."""

    event: str
    subject: str
    version: int
    schema_id: int
    new: bool


class EventSchemas:
    """What is registered for event names of one installation. Calls block and raise RegistryUnreachable.

    Args:
        registry: Confluent's API.
        topic_prefix: Of the installation; its subjects are `<prefix>event.<NAME>-value`.

    """

    def __init__(self, registry: HttpRegistry, topic_prefix: str) -> None:
        self._registry = registry
        self._prefix = topic_prefix
        self._etag = ""
        self._types: dict[str, tuple[Texts, EventType | None]] = {}
        self._asked = False

    def changed(self) -> Mapping[str, EventType] | None:
        """Return all types by name, None when nothing has changed since the last call."""
        listing = self._registry.listing(subject_prefix(self._prefix), self._etag)
        if listing is None:
            return None
        texts: dict[str, dict[int, tuple[int, str]]] = {}
        for one in listing.versions:
            name = name_of(one.subject, self._prefix)
            if name is not None:
                texts.setdefault(name, {})[one.version] = (one.id, one.schema)
        before = self._types
        self._types = {
            name: before[name] if name in before and before[name][0] == found else (found, _type(name, found))
            for name, found in texts.items()
        }
        self._etag = listing.etag
        asked, self._asked = self._asked, True
        if asked and {n: t for n, (t, _) in before.items()} == texts:
            return None  # from a registry without tags
        return {name: kind for name, (_, kind) in self._types.items() if kind is not None}

    def types(self) -> Mapping[str, EventType]:
        """Return all types by name, asked now."""
        self._etag, self._asked = "", False
        return self.changed() or {}

    def register(self, name: str, text: str) -> Outcome:
        """Register a schema (JSON text) for an event name; the same text again changes nothing.

        Raises BadInput, with field and reason: the schema has no single meaning in JSON, or does not read
        what earlier versions wrote.
        """
        try:
            subject = subject_of(name, self._prefix)
            shape_of(text)
        except (UnfitName, InvalidSchemaError) as error:
            raise BadInput(f"the schema of {name!r} cannot be registered: {error}") from None
        types = self.types()
        earlier = {number: text for number, (_, text) in self._types.get(name, ({}, None))[0].items()}
        for number, known in sorted(earlier.items(), reverse=True):
            if canonical(known) == canonical(text):
                return self._outcome(name, subject, number, new=False)
        self._check_view(name, types)
        if problems := breaking(text, earlier):
            raise BadInput(
                f"the schema of {name} breaks what version {max(earlier)} promised: {'; '.join(problems)}"
            )
        try:
            self._registry.register(subject, text)
        except SchemaRefused as error:
            raise BadInput(f"the schema of {name} was refused: {error}") from None
        self.types()
        found = self._types.get(name, ({}, None))[0]
        number = next((n for n, (_, known) in found.items() if canonical(known) == canonical(text)), 0)
        return self._outcome(name, subject, number, new=True)

    def _outcome(self, name: str, subject: str, number: int, *, new: bool) -> Outcome:
        schema_id = self._types[name][0][number][0] if number else 0
        return Outcome(event=name, subject=subject, version=number, schema_id=schema_id, new=new)

    def _check_view(self, name: str, types: Mapping[str, EventType]) -> None:
        other = next((one for one in types if one != name and view_of(one) == view_of(name)), None)
        if other is not None:
            raise BadInput(
                f"{name} would share the SQL view {view_of(name)} with {other}, which has a schema already; "
                "give one of the two events another name"
            )


def _type(name: str, texts: Texts) -> EventType | None:
    """Return the type of what can be used; whoever registered the rest did it past our own commands."""
    usable = {}
    for number, (schema_id, text) in texts.items():
        try:
            shape_of(text)
        except InvalidSchemaError as error:
            _log.error("version %d of the schema of %s counts for nothing: %s", number, name, error)
        else:
            usable[number] = (schema_id, text)
    return event_type(name, usable) if usable else None
