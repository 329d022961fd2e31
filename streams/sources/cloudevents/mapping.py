"""A CloudEvent as an event of ours, and any event of ours as a CloudEvent."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from schemas.carried_payload import CLOUD_EVENTS
from schemas.event import ID_LABEL, Event
from schemas.identity import derived_id
from streams.sources.cloudevents.attribute_types import Invalid, Value, canonical, check_name, replaced
from streams.sources.cloudevents.cloud_event import (
    CHARS_MAX,
    CORE,
    SPECVERSION,
    CloudEvent,
    Content,
    attributes_of,
)
from streams.sources.cloudevents.json_format import data_members, with_data

KIND = "cloudevents"
PROVIDER = CLOUD_EVENTS
ATTRIBUTES = CLOUD_EVENTS  # where the payload keeps the attributes as they came
EXTENSION_LABEL = "ce."
OURS = "ensue"  # source of an event that was not born as a CloudEvent
RESERVED = "ensue."
_NAME_CHARS_MAX = 1024
_YEAR_MIN, _YEAR_MAX = 1900, 2299  # what the store can hold
_UUID_CHARS = 36
_LABELLED = ("source", "subject", "type", "datacontenttype", "dataschema")


def event_of(cloud: CloudEvent, *, at_s: float, source: str) -> Event:
    """Return the event of a CloudEvent.

    Its id follows from `source` and `id`, so that the same CloudEvent is the same event whichever mode and
    way it came by. Raises Invalid for what cannot be an event here although the specification allows it.

    Args:
        cloud: Any valid CloudEvent.
        at_s: The receiver's clock, Unix seconds; `occurred` of one without `time`.
        source: The configured way in, empty for POST /events.

    """
    attributes = cloud.attributes
    name, origin = str(attributes["type"]), str(attributes["source"])
    if len(name) > _NAME_CHARS_MAX or not name.isprintable():
        raise Invalid("type", f"must have 1 to {_NAME_CHARS_MAX} printable characters to be an event's name")
    if name.startswith(RESERVED):
        raise Invalid("type", f"names that begin with {RESERVED} are ours; choose another")
    at = cloud.time
    if at is not None and not _YEAR_MIN < at.year < _YEAR_MAX:
        raise Invalid("time", f"must lie between the years {_YEAR_MIN + 1} and {_YEAR_MAX - 1}")
    number = identity(cloud)
    return Event(
        id=number,
        event=name,
        resource_id=cloud.text("subject") or origin,
        resource=_labels(cloud),
        occurred=at or datetime.fromtimestamp(at_s, UTC),
        payload={**data_members(cloud), ATTRIBUTES: dict(attributes)},
        source=source,
        causation_id=_uuid(attributes.get("causationid")),
        correlation_id=_uuid(attributes.get("correlationid")) or number,
    )


def identity(cloud: CloudEvent) -> str:
    """Return the id that `source` and `id` give; `time` only makes it sortable."""
    at = cloud.time
    ms = 0 if at is None else int(at.timestamp() * 1000)
    return derived_id(KIND, cloud.text("source"), cloud.text("id"), ms=ms)


def _labels(cloud: CloudEvent) -> dict[str, str]:
    attributes = cloud.attributes
    core = {name: str(attributes[name]) for name in _LABELLED if name in attributes}
    extensions = {
        f"{EXTENSION_LABEL}{name}": canonical(value) for name, value in attributes.items() if name not in CORE
    }
    return {
        ID_LABEL: cloud.text("subject") or str(attributes["source"]),
        "provider": PROVIDER,
        **core,
        **extensions,
    }


def _uuid(value: Value | None) -> str | None:
    """Return the id of an event or a chain of ours that went out and came back; None for anybody else's."""
    text = value.lower() if isinstance(value, str) else ""
    parts = text.split("-")
    whole = [len(part) for part in parts] == [8, 4, 4, 4, 12]
    return text if whole and all(c in "0123456789abcdef-" for c in text) else None


def cloud_event_of(event: Event) -> CloudEvent:
    """Return an event as a CloudEvent: the original where it came as one, else one that says the same."""
    return _original(event) or _translated(event)


def _original(event: Event) -> CloudEvent | None:
    kept = event.payload.get(ATTRIBUTES)
    if not isinstance(kept, Mapping):
        return None
    try:
        cloud = with_data(attributes_of(kept), event.payload)
        # A payload that only looks like one has another id.
        return cloud if identity(cloud) == event.id else None
    except Invalid:
        return None


def _translated(event: Event) -> CloudEvent:
    """Return type, subject, time and data of an event; labels are extensions where names allow it."""
    extensions: dict[str, Value] = {}
    for name, text in event.resource.items():
        try:
            check_name(name)
        except Invalid:
            continue
        if name not in CORE:
            extensions[name] = replaced(text)
    extensions["correlationid"] = event.correlation_id
    if event.causation_id:
        extensions["causationid"] = event.causation_id
    given: dict[str, Any] = {
        "specversion": SPECVERSION,
        "id": event.id,
        "source": f"{OURS}/{quote(event.source, safe='')}" if event.source else OURS,
        "type": replaced(event.event),
        "subject": replaced(event.resource_id)[:CHARS_MAX],
        "time": event.occurred.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        **extensions,
    }
    return replace(
        CloudEvent(attributes=attributes_of(given)), content=Content.JSON, data=dict(event.payload)
    )
