"""Typed events: what a schema registered for an event's name demands of its payloads.

A name's versions live in the schema registry under `<topic prefix>event.<NAME>-value`. A payload must fit the
newest version; one that fits an earlier version only comes from a sender that is not updated yet and is taken
as well, since every newer version reads it (BACKWARD, against all versions).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

from schemas import compatibility
from schemas.compatibility import Level
from schemas.misfit import Misfit
from schemas.payload_shape import Record, shape_of

NAME_CHARS_MAX = 200
RESERVED = "ensue."  # what Ensue says of itself
VIEW_PREFIX = "events_"
_VIEW_CHARS_MAX = 100
_SUFFIX = "-value"
_PLAIN_NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")
_NOT_IN_VIEW = re.compile(r"[^a-z0-9_]+")


class UnfitName(ValueError):
    """An event's name under which no schema can be registered; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One registered version; `text` is the schema's JSON text."""

    number: int
    schema_id: int
    text: str
    shape: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType:
    """The versions of one event name, newest first; at least one."""

    name: str
    versions: tuple[Version, ...]

    @property
    def newest(self) -> Version:
        """The version that new senders use."""
        return self.versions[0]

    def check(self, payload: Any) -> None:
        """Return when a payload fits a version; raises the newest one's Misfit."""
        try:
            self.versions[0].shape.read(payload)
        except Misfit:
            if not any(_fits(version.shape, payload) for version in self.versions[1:]):
                raise


def _fits(shape: Record, payload: Any) -> bool:
    try:
        shape.read(payload)
    except Misfit:
        return False
    return True


@dataclass(slots=True)
class EventTypes:
    """All typed names, replaced as a whole; an untyped event costs one look into `by_name`."""

    by_name: Mapping[str, EventType] = field(default_factory=lambda: MappingProxyType({}))


def event_type(name: str, texts: Mapping[int, tuple[int, str]]) -> EventType:
    """Return the type of a name from its versions (number → schema id, text).

    Raises InvalidSchemaError when one of them has no meaning in JSON.
    """
    versions = [
        Version(number=number, schema_id=schema_id, text=text, shape=shape_of(text))
        for number, (schema_id, text) in sorted(texts.items(), reverse=True)
    ]
    return EventType(name=name, versions=tuple(versions))


def subject_of(name: str, topic_prefix: str) -> str:
    """Return the registry's subject of an event name; raises UnfitName."""
    check_name(name)
    return f"{subject_prefix(topic_prefix)}{name}{_SUFFIX}"


def subject_prefix(topic_prefix: str) -> str:
    """Return what the subjects of all event names of an installation begin with."""
    return f"{topic_prefix}event."


def name_of(subject: str, topic_prefix: str) -> str | None:
    """Return the event name of a subject, None for subjects of something else."""
    prefix = subject_prefix(topic_prefix)
    if not subject.startswith(prefix) or not subject.endswith(_SUFFIX):
        return None
    name = subject[len(prefix) : -len(_SUFFIX)]
    try:
        check_name(name)
    except UnfitName:
        return None
    return name


def check_name(name: str) -> None:
    """Raise UnfitName unless a schema can be registered for this event name."""
    if not 0 < len(name) <= NAME_CHARS_MAX or not name.isprintable() or name != name.strip():
        raise UnfitName(f"an event name with a schema has 1 to {NAME_CHARS_MAX} printable characters")
    if found := next((one for one in "*?![]/\\" if one in name), None):
        raise UnfitName(
            f"{name!r} has {found!r}: a schema belongs to one event name, not to a pattern or path"
        )
    if name.startswith(RESERVED):
        raise UnfitName(f"{name!r}: names that begin with {RESERVED} are ours; their payloads are documented")


def view_of(name: str) -> str:
    """Return the name of the SQL view of an event name, the same for ever.

    `order.paid` gives `events_order_paid`. A name with other characters than a to z, 0 to 9, dot and
    underscore, and a very long one, ends with a hash, so that two of them never share a view.
    """
    if _PLAIN_NAME.fullmatch(name) and len(name) <= _VIEW_CHARS_MAX:
        return VIEW_PREFIX + name.replace(".", "_")
    plain = _NOT_IN_VIEW.sub("_", name.lower())[:_VIEW_CHARS_MAX].strip("_")
    return f"{VIEW_PREFIX}{plain}_{blake2b(name.encode(), digest_size=3).hexdigest()}"


def breaking(new: str, earlier: Mapping[int, str]) -> list[str]:
    """Return why a schema text may not follow its earlier versions, each with field and reason.

    Beyond Avro's rules for bytes: what JSON says must not change its meaning either.
    """
    found = compatibility.incompatibilities(Level.BACKWARD_TRANSITIVE, new, earlier)
    for text in earlier.values():
        found += compatibility.changed_meanings(new, text)
        found += _changed_texts(new, text)
    return list(dict.fromkeys(found))


def _changed_texts(new: str, old: str) -> list[str]:
    """Return fields that were text and became bytes, or the other way: Avro reads them, JSON cannot."""
    after, before = _kinds(new), _kinds(old)
    return [
        f"{path}: {before[path]} became {after[path]}: JSON has bytes as base64, so the same text would mean "
        "something else; add a new field instead"
        for path in before
        if {before[path], after.get(path)} == {"string", "bytes"}
    ]


def _kinds(text: str) -> dict[str, str]:
    """Path → plain type, for every text and bytes of a schema."""
    parsed = compatibility.parse(text)
    found: dict[str, str] = {}

    def walk(schema: Any, path: str) -> None:
        schema = parsed.definition(schema)
        if isinstance(schema, list):
            for branch in schema:
                walk(branch, path)
            return
        if isinstance(schema, str):
            schema = {"type": schema}
        match schema["type"]:
            case "array":
                walk(schema["items"], f"{path}[]")
            case "map":
                walk(schema["values"], f"{path}{{}}")
            case "record" | "error":
                for one in schema["fields"]:
                    walk(one["type"], f"{path}.{one['name']}".lstrip("."))
            case "string" | "bytes" as kind:
                found[path] = kind

    walk(parsed.root, "")
    return found
