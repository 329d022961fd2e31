"""Between the event as a person sees it and its bytes' view."""

import json
from typing import Any

from schemas.event import Event, from_micros, micros
from schemas.record import EventRecord


def to_record(event: Event) -> EventRecord:
    """Return the record of `event`; an event not yet received counts as received when it occurred."""
    return EventRecord(
        id=event.id,
        event=event.event,
        resource_id=event.resource_id,
        occurred=micros(event.occurred),
        received=micros(event.received or event.occurred),
        resource=_text(dict(event.resource)),
        related=_text([dict(labels) for labels in event.related]),
        payload=_text(_payload(event.payload)),
        source=event.source,
        causation_id=event.causation_id,
        correlation_id=event.correlation_id,
        follows=event.follows,
        replay_of=event.replay_of,
        depth=event.depth,
    )


def _payload(payload: Any) -> dict[str, Any]:
    if type(payload) is dict:
        return payload
    if not hasattr(type(payload), "model_fields"):
        return dict(payload)
    from schemas.model_payload import payload_of  # a typed event; its model has loaded pydantic

    return payload_of(payload)


def to_event(record: EventRecord) -> Event:
    """Return the event of `record`."""
    return Event(
        id=record.id,
        event=record.event,
        resource_id=record.resource_id,
        occurred=from_micros(record.occurred),
        received=from_micros(record.received),
        resource=json.loads(record.resource),
        related=tuple(json.loads(record.related)),
        payload=json.loads(record.payload),
        source=record.source,
        causation_id=record.causation_id,
        correlation_id=record.correlation_id,
        follows=record.follows,
        replay_of=record.replay_of,
        depth=record.depth,
    )


def as_posted(event: Event) -> dict[str, Any]:
    """Return what `POST /events` needs to make the same event again; links are left to who wants them."""
    return {
        "id": event.id,
        "event": event.event,
        "resource": dict(event.resource),
        "related": [dict(labels) for labels in event.related],
        "payload": dict(event.payload),
        "occurred": event.occurred.isoformat(),
    }


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
