"""Fields of a sender's JSON, each with a sentence for what is missing."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_to_bytes

_YEAR_MIN, _YEAR_MAX = 1900, 2299  # what the store can hold


class Unusable(ValueError):
    """A record without what an event needs; the text says what, fit for a dead letter."""


def object_at(value: Any, name: str) -> Mapping[str, Any]:
    """Return an object in an object; raises Unusable."""
    found = value.get(name) if isinstance(value, Mapping) else None
    if not isinstance(found, Mapping):
        raise Unusable(f"{name} is missing or no object")
    return found


def text_at(value: Any, name: str) -> str:
    """Return a text that is not empty; raises Unusable."""
    found = value.get(name) if isinstance(value, Mapping) else None
    if not isinstance(found, str) or not found:
        raise Unusable(f"{name} is missing or no text")
    return found


def optional_at(value: Any, name: str) -> str:
    """Return a text, or a whole number as text; empty when there is neither."""
    found = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(found, str):
        return found
    return str(found) if isinstance(found, int) and not isinstance(found, bool) else ""


def time_of(text: str, name: str) -> datetime:
    """Return an ISO 8601 time in UTC, finer digits than µs cut off; raises Unusable."""
    try:
        at = datetime.fromisoformat(text)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unusable(f"{name} {text[:40]!r} is no time") from None
    if not _YEAR_MIN < at.year < _YEAR_MAX:
        raise Unusable(f"{name} {text[:40]!r} is not of our time")
    return at


def percent_decoded(text: str, name: str) -> str:
    """Undo percent-encoding of UTF-8, `+` stays; raises Unusable when the bytes are no text."""
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise Unusable(f"{name} {text[:100]!r} is not UTF-8 when decoded") from None
