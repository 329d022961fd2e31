"""A CloudEvent: attributes that keep the specification's constraints, and data."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from streams.sources.cloudevents.attribute_types import (
    Invalid,
    Value,
    check_absolute_uri,
    check_name,
    check_uri_reference,
    check_value,
    media_type,
    timestamp,
)

SPECVERSION = "1.0"
REQUIRED = ("specversion", "id", "source", "type")
OPTIONAL = ("datacontenttype", "dataschema", "subject", "time")
CHARS_MAX = 8192  # of a core attribute; the specification wants 64 KiB of a whole event to pass
CORE = frozenset((*REQUIRED, *OPTIONAL))


class Content(StrEnum):
    """What `data` is."""

    NONE = "none"
    JSON = "json"
    TEXT = "text"
    BINARY = "binary"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEvent:
    """An event that is valid; make one with `cloud_event`.

    Attributes:
        attributes: As they came: texts, and in JSON whole numbers and Booleans too.
        content: What `data` is.
        data: A JSON value, a text, bytes, or None without data.

    """

    attributes: Mapping[str, Value]
    content: Content = Content.NONE
    data: Any = None

    def text(self, name: str) -> str | None:
        """Return a core attribute, None when it is not there."""
        found = self.attributes.get(name)
        return found if isinstance(found, str) else None

    @property
    def time(self) -> datetime | None:
        """When it happened, in UTC."""
        found = self.text("time")
        return None if found is None else timestamp("time", found)


def attributes_of(given: Mapping[str, object]) -> dict[str, Value]:
    """Return what is set of `given` once all of it keeps to the specification; raises Invalid.

    null means that an attribute is not set (JSON format, 2.2). Nothing is made up for what is missing.
    """
    found: dict[str, Value] = {}
    for name, value in given.items():
        check_name(name)
        if value is not None:
            found[name] = check_value(name, value)
    version = found.get("specversion")
    if version is None:
        raise Invalid("specversion", "is required; send 1.0")
    if version != SPECVERSION or not isinstance(version, str):
        shown = repr(version)[:20]
        raise Invalid("specversion", f'{shown} is not supported; CloudEvents must be of version "1.0"')
    for name in REQUIRED:
        if name not in found:
            raise Invalid(name, "is required")
    for name in CORE & found.keys():
        value = found[name]
        if not isinstance(value, str):
            raise Invalid(name, "must be a text")
        if not value:
            raise Invalid(name, "must not be empty")
        if len(value) > CHARS_MAX:
            raise Invalid(name, f"has {len(value)} characters, {CHARS_MAX} are the most")
        _check_core(name, value)
    return found


def _check_core(name: str, text: str) -> None:
    match name:
        case "source":
            check_uri_reference(name, text)
        case "dataschema":
            check_absolute_uri(name, text)
        case "datacontenttype":
            media_type(name, text)
        case "time":
            timestamp(name, text)
