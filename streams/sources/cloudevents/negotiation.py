"""How one event is shown: as POST /events takes it, or as a CloudEvent in one of its content modes. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from schemas.event import Event
from schemas.event_record import as_posted
from streams.sources.cloudevents.http_binding import BATCHED, MEDIA_TYPE, STRUCTURED, to_binary
from streams.sources.cloudevents.json_format import to_json
from streams.sources.cloudevents.mapping import cloud_event_of
from streams.strict_json import dumps

JSON_TYPE = "application/json"
_HEAD_BYTES_MAX = 24 << 10  # many clients read no longer heads
_RANGES_MAX = 50
_RANGE = re.compile(r"\s*([^\s;,]+/[^\s;,]+)\s*((?:;[^,]*)?)\s*")
_QUALITY = re.compile(r";\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*(?:;|$)", re.ASCII | re.IGNORECASE)


class Shape(StrEnum):
    """What a reader may ask for, by `Accept` or `?mode=`; the first is what is shown unasked."""

    JSON = "json"
    STRUCTURED = "structured"
    BATCHED = "batched"
    BINARY = "binary"


# In binary mode Content-Type is the data's own, so the bare media type asks for that mode.
MEDIA_TYPES: Mapping[str, Shape] = {
    JSON_TYPE: Shape.JSON,
    STRUCTURED: Shape.STRUCTURED,
    BATCHED: Shape.BATCHED,
    MEDIA_TYPE: Shape.BINARY,
}


class TooLongForHeaders(ValueError):
    """The attributes are too long for the head of a response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A response's Content-Type (None: the data has no declared one), further headers, and body."""

    content_type: str | None
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def shape_accepted(accept: str | None) -> Shape | None:
    """Return the best shape for an Accept header (RFC 9110, 12.5.1), None when none of ours will do."""
    if accept is None or not accept.strip():
        return Shape.JSON
    best: tuple[float, int] = (0.0, 0)
    found: Shape | None = None
    ranges = [parsed for part in accept.split(",")[:_RANGES_MAX] if (parsed := _range(part)) is not None]
    for at, (media_type, shape) in enumerate(MEDIA_TYPES.items()):
        # The most specific range that names the type decides about it.
        about = [found for found in ranges if _covers(found[0], media_type)]
        if not about:
            continue
        _, quality = max(about, key=lambda named: named[0].count("*") * -1)
        if quality > 0 and (quality, -at) > best:
            best, found = (quality, -at), shape
    return found


def _range(part: str) -> tuple[str, float] | None:
    matched = _RANGE.fullmatch(part)
    if matched is None:
        return None
    quality = _QUALITY.search(matched[2])
    return matched[1].lower(), float(quality[1]) if quality else 1.0


def _covers(asked: str, media_type: str) -> bool:
    return asked in {media_type, "*/*", "application/*"}


def message_of(event: Event, shape: Shape) -> Message:
    """Return an event in a shape; raises TooLongForHeaders and `data.Unencodable` for binary mode."""
    if shape is Shape.JSON:
        return Message(content_type=JSON_TYPE, body=dumps(posted(event)))
    cloud = cloud_event_of(event)
    if shape is Shape.STRUCTURED:
        return Message(content_type=f"{STRUCTURED}; charset=utf-8", body=dumps(to_json(cloud)))
    if shape is Shape.BATCHED:
        return Message(content_type=f"{BATCHED}; charset=utf-8", body=dumps([to_json(cloud)]))
    headers, body = to_binary(cloud)
    if sum(len(name) + len(value) + 4 for name, value in headers.items()) > _HEAD_BYTES_MAX:
        raise TooLongForHeaders(f"its attributes have more than {_HEAD_BYTES_MAX} bytes as headers")
    return Message(content_type=headers.pop("content-type", None), body=body, headers=headers)


def posted(event: Event) -> dict[str, Any]:
    """Return an event as POST /events takes it: posted again it is the same event, counted once."""
    fields: dict[str, Any] = {
        **as_posted(event),
        "occurred": event.occurred.isoformat().replace("+00:00", "Z"),
        "correlation_id": event.correlation_id,
        "depth": event.depth,
    }
    links = {"causation_id": event.causation_id, "follows": event.follows}
    return fields | {name: text for name, text in links.items() if text}
