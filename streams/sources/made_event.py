"""Events that a form makes: what must be true of each, checked where it is made."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from schemas.event import ID_LABEL, Event
from schemas.identity import derived_id
from streams.errors import Poison
from streams.inbound import Delivery

NAME_CHARS_MAX = 1024
RESOURCE_ID_CHARS_MAX = 8192
RESERVED = "ensue."  # what Ensue says of itself; no sender may say it
_YEAR_MIN, _YEAR_MAX = 1900, 2299  # what the store's DateTime64 holds
_MILLISECONDS_FROM = 100_000_000_000  # as seconds this is the year 5138
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def made_event(
    delivery: Delivery,
    source: str,
    *,
    event: str,
    resource_id: str,
    labels: Mapping[str, Any],
    payload: Mapping[str, Any],
    identity: Sequence[str] = (),
    occurred: datetime | None = None,
) -> Event:
    """Return the event of a delivery; raises Poison (unusable_record) when it cannot be one.

    Args:
        delivery: Where the time comes from when the sender tells none.
        source: Its name; part of the identity, so that one source cannot take another's ids.
        event: The name.
        resource_id: Of the resource; the source's name where it is empty.
        labels: Further labels; texts, numbers and truth values count, the empty ones are left out.
        payload: JSON object.
        identity: What the sender calls this delivery, its kind first; empty: the door draws an id.
        occurred: As the delivery tells it; its milliseconds begin the id.

    """
    place = resource_id or source
    texts = {name: text for name, value in labels.items() if (text := label(value))}
    return Event(
        id=derived_id(identity[0], source, *identity[1:], ms=millis(occurred)) if identity else "",
        event=checked_name(event),
        resource_id=checked_place(place),
        resource={ID_LABEL: place, **texts},
        occurred=occurred or received(delivery),
        payload=payload,
        source=source,
    )


def checked_name(name: str) -> str:
    """Return an event's name; raises Poison when nobody may use it."""
    if not name or len(name) > NAME_CHARS_MAX or not name.isprintable():
        raise Poison(
            f"the event's name must be a text of 1 to {NAME_CHARS_MAX} printable characters",
            reason="unusable_record",
        )
    if name.startswith(RESERVED):
        raise Poison(f"event names that begin with {RESERVED} are ours", reason="unusable_record")
    return name


def checked_place(resource_id: str) -> str:
    """Return a resource id; raises Poison when it is empty or too long."""
    if not resource_id or len(resource_id) > RESOURCE_ID_CHARS_MAX:
        raise Poison(
            f"the resource id must have 1 to {RESOURCE_ID_CHARS_MAX} characters", reason="unusable_record"
        )
    return resource_id


def label(value: Any) -> str:
    """Return a label's text; empty for what is no scalar."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else ""


def fingerprint(raw: bytes) -> str:
    """Return what stands for a body in an identity."""
    return blake2b(raw, digest_size=16).hexdigest()


def time_of(value: Any) -> datetime | None:
    """Return a time told as ISO 8601 text or as seconds or milliseconds since 1970; None when it is none."""
    try:
        if isinstance(value, str):
            at = datetime.fromisoformat(value)
            at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            at = datetime.fromtimestamp(value / 1000 if value >= _MILLISECONDS_FROM else value, UTC)
        else:
            return None
    except (ValueError, OverflowError, OSError):
        return None
    return at if _YEAR_MIN < at.year < _YEAR_MAX else None


def received(delivery: Delivery) -> datetime:
    """Return when the delivery came."""
    return time_of(delivery.at_s) or _EPOCH


def millis(at: datetime | None) -> int:
    """Return ms since the epoch, zero for no time."""
    return 0 if at is None else (at - _EPOCH).days * 86_400_000 + _milliseconds_of_day(at)


def _milliseconds_of_day(at: datetime) -> int:
    delta = at - _EPOCH
    return delta.seconds * 1000 + delta.microseconds // 1000
