"""Azure Event Grid in its own schema and in CloudEvents', with the handshake of each."""

from collections.abc import Mapping
from typing import Any

import orjson

from schemas.event import Event
from schemas.identity import derived_id
from streams.errors import Poison
from streams.inbound import Delivery, Outcome, Reply, Taken
from streams.sources.azure.blob import blob_event, is_of_storage
from streams.sources.carried_event import event_in_headers, is_binary
from streams.sources.fields import Unusable, object_at, optional_at, text_at, time_of
from streams.sources.json_body import json_body
from streams.sources.s3 import in_order

_VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"
_RATE = "1000"
_NAME_CHARS_MAX = 512


class EventGridForm:
    """Events of both schemas; nothing is ever asked for (`validationUrl`, WebHook-Request-Callback)."""

    def read(self, delivery: Delivery, source: str) -> Outcome:
        """Return events or a handshake's answer; raises Poison."""
        if delivery.method == "OPTIONS":
            return _granted(delivery)
        document = event_in_headers(delivery) if is_binary(delivery) else json_body(delivery)
        listed = document if isinstance(document, list) else [document]
        for item in listed:
            if isinstance(item, Mapping) and item.get("eventType") == _VALIDATION:
                return _validated(item)
        return grid_events(document, source)


def is_grid(document: object) -> bool:
    """Tell whether a document is an event of Event Grid, in either schema."""
    if not isinstance(document, Mapping):
        return False
    if isinstance(document.get("specversion"), str):
        return isinstance(document.get("type"), str)
    return all(isinstance(document.get(name), str) for name in ("eventType", "eventTime", "id"))


def is_blob(document: object) -> bool:
    """Tell whether a document is an event of Blob Storage."""
    if not isinstance(document, Mapping) or not is_grid(document):
        return False
    return is_of_storage(optional_at(document, "eventType") or optional_at(document, "type"))


def grid_events(document: object, source: str) -> Taken:
    """Return the events of one event or an array of them; raises Poison when none is of a schema we know."""
    listed = document if isinstance(document, list) else [document]
    if not any(is_grid(item) for item in listed):
        raise Poison("the body is no event of Event Grid", reason="unknown_format")
    events: list[Event] = []
    unusable: list[str] = []
    for at, item in enumerate(listed):
        try:
            events.append(_event(item, source))
        except Unusable as error:
            unusable.append(f"event {at}: {error}")
    return Taken(events=in_order(events), unusable=unusable)


def _event(item: Any, source: str) -> Event:
    if not is_grid(item):
        raise Unusable("it has neither schema of Event Grid")
    known = _in_grid_schema(item)
    return blob_event(known, source) if is_of_storage(text_at(known, "eventType")) else _other(known, source)


def _in_grid_schema(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the event with the names of the Event Grid schema."""
    if "eventType" in item:
        return item
    renamed = {"type": "eventType", "time": "eventTime", "source": "topic"}
    return {renamed.get(name, name): value for name, value in item.items()}


def _other(event: Mapping[str, Any], source: str) -> Event:
    """Return the event of another service: `azure.EVENTTYPE`. Raises Unusable."""
    name = text_at(event, "eventType")
    if len(name) > _NAME_CHARS_MAX or not name.isprintable():
        raise Unusable("eventType is no name")
    topic, subject = optional_at(event, "topic"), optional_at(event, "subject")
    occurred = time_of(text_at(event, "eventTime"), "eventTime")
    place = f"{topic}{subject if not topic or subject.startswith('/') else f'/{subject}'}".rstrip("/")
    labels = {
        "resource.id": place or "eventgrid",
        "provider": "azure",
        "topic": topic,
        "subject": subject,
        "raw_event": name,
    }
    number = text_at(event, "id")
    return Event(
        id=derived_id("eventgrid", topic, number, ms=int(occurred.timestamp() * 1000)),
        event=f"azure.{name}",
        resource_id=labels["resource.id"],
        resource={label: value for label, value in labels.items() if value},
        occurred=occurred,
        payload=event,
        source=source,
    )


def _validated(event: Mapping[str, Any]) -> Reply:
    """Answer Event Grid's own handshake with its code; raises Poison."""
    try:
        code = text_at(object_at(event, "data"), "validationCode")
    except Unusable as error:
        raise Poison(f"a validation of Event Grid: {error}", reason="unusable_record") from None
    return Reply(body=orjson.dumps({"validationResponse": code}))


def _granted(delivery: Delivery) -> Reply:
    """Answer the handshake of CloudEvents; the sender was compared with the list before."""
    origin = next(iter(delivery.headers.all("webhook-request-origin")), "")
    if not origin.isprintable() or not origin.isascii():
        raise Poison("WebHook-Request-Origin is no host name", reason="unusable_record")
    return Reply(
        headers=(
            ("allow", "POST, OPTIONS"),
            ("webhook-allowed-origin", origin),
            ("webhook-allowed-rate", _RATE),
        )
    )
