"""Pub/Sub push in its three bodies: wrapped, unwrapped, and as Eventarc's CloudEvent."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from schemas.event import Event
from schemas.identity import derived_id
from streams.errors import Poison
from streams.inbound import Delivery, Outcome, Taken
from streams.sources.carried_event import event_in_headers, is_binary
from streams.sources.fields import Unusable, object_at, optional_at, text_at, time_of
from streams.sources.google.bucket import is_notification, is_raised, notified_event, raised_event
from streams.sources.json_body import json_body, json_value

_PUBLISHED = "google.cloud.pubsub.topic.v1.messagePublished"
_METADATA = "x-goog-pubsub-"
# An attribute's header has its name, and names of headers have no case.
_ATTRIBUTES = (
    "eventType",
    "bucketId",
    "objectId",
    "objectGeneration",
    "eventTime",
    "payloadFormat",
    "notificationConfig",
    "overwroteGeneration",
    "overwrittenByGeneration",
)


class PubSubForm:
    """Buckets' notifications, and every other message as `pubsub.message`."""

    _any_message = True

    def read(self, delivery: Delivery, source: str) -> Outcome:
        """Return the events; raises Poison."""
        if is_binary(delivery):
            return google_events(event_in_headers(delivery), source, any_message=self._any_message)
        unwrapped = _unwrapped(delivery)
        if unwrapped is not None:
            return _one(unwrapped, source, any_message=self._any_message)
        return google_events(json_body(delivery), source, any_message=self._any_message)


class GcsForm(PubSubForm):
    """Buckets' notifications and nothing else."""

    _any_message = False


def is_google(document: object) -> bool:
    """Tell whether a document is one of Google's: a push, or a CloudEvent of Cloud Storage."""
    if not isinstance(document, Mapping):
        return False
    if "specversion" in document:
        return is_raised(document) or document.get("type") == _PUBLISHED
    return isinstance(document.get("message"), Mapping) and (
        "subscription" in document or "messageId" in document["message"]
    )


def google_events(document: object, source: str, *, any_message: bool) -> Taken:
    """Return the events of a push or a CloudEvent (an array of either, too); raises Poison."""
    if isinstance(document, list) and document and all(is_google(item) for item in document):
        parts = [google_events(item, source, any_message=any_message) for item in document]
        return Taken(
            events=[event for part in parts for event in part.events],
            unusable=[f"event {at}: {text}" for at, part in enumerate(parts) for text in part.unusable],
        )
    if not isinstance(document, Mapping) or not is_google(document):
        raise Poison(
            "the body is neither a push of Pub/Sub nor an event of Cloud Storage", reason="unknown_format"
        )
    if "specversion" in document:
        if is_raised(document):
            try:
                return Taken(events=[raised_event(document, source)])
            except Unusable as error:
                return Taken(unusable=[str(error)])
        data = document.get("data")
        return google_events(
            {**data, "subscription": data.get("subscription", "")} if isinstance(data, Mapping) else None,
            source,
            any_message=any_message,
        )
    return _one(document, source, any_message=any_message)


def _one(push: Mapping[str, Any], source: str, *, any_message: bool) -> Taken:
    """Return the event of one push in its wrapped form."""
    try:
        message = object_at(push, "message")
        attributes = message.get("attributes")
        attributes = attributes if isinstance(attributes, Mapping) else {}
        published = optional_at(message, "publishTime") or optional_at(message, "publish_time")
        data = _data(message)
        if is_notification(attributes):
            return Taken(events=[notified_event(attributes, _json_or_none(data), published, source)])
        if not any_message:
            raise Poison("the message is no notification of a bucket", reason="unknown_format")
        return Taken(events=[_message(push, message, attributes, data, published, source)])
    except Unusable as error:
        return Taken(unusable=[str(error)])


def _message(
    push: Mapping[str, Any],
    message: Mapping[str, Any],
    attributes: Mapping[str, Any],
    data: bytes,
    published: str,
    source: str,
) -> Event:
    """Return the event of a message that no bucket sent."""
    number = optional_at(message, "messageId") or text_at(message, "message_id")
    occurred = time_of(published, "publishTime")
    subscription = optional_at(push, "subscription")
    value = _json_or_none(data)
    labels = {
        "resource.id": subscription or "pubsub",
        "provider": "pubsub",
        "message_id": number,
        "ordering_key": optional_at(message, "orderingKey"),
    }
    shown = {"data": value} if value is not None else {"data_base64": base64.b64encode(data).decode()}
    return Event(
        id=derived_id("pubsub", subscription, number, ms=int(occurred.timestamp() * 1000)),
        event="pubsub.message",
        resource_id=labels["resource.id"],
        resource={name: text for name, text in labels.items() if text},
        occurred=occurred,
        payload={"attributes": dict(attributes), **(shown if data else {})},
        source=source,
    )


def _data(message: Mapping[str, Any]) -> bytes:
    """Return a message's bytes; raises Unusable."""
    data = message.get("data", "")
    if not isinstance(data, str):
        raise Unusable("data is no text")
    try:
        return base64.b64decode(data.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise Unusable("data is not base64") from None


def _json_or_none(data: bytes) -> Any:
    try:
        return json_value(data)
    except Poison:
        return None


def _unwrapped(delivery: Delivery) -> Mapping[str, Any] | None:
    """Return an unwrapped push in its wrapped form; None when the metadata headers are missing."""
    if not delivery.headers.all(f"{_METADATA}message-id"):
        return None

    def header(name: str) -> str:
        return next(iter(delivery.headers.all(name)), "")

    named = {name: _utf8(header(name.lower())) for name in _ATTRIBUTES if header(name.lower())}
    return {
        "message": {
            "messageId": header(f"{_METADATA}message-id"),
            "publishTime": header(f"{_METADATA}publish-time"),
            "orderingKey": header(f"{_METADATA}ordering-key"),
            "attributes": named,
            "data": base64.b64encode(delivery.body).decode(),
        },
        "subscription": header(f"{_METADATA}subscription-name"),
    }


def _utf8(value: str) -> str:
    """Return a header's text; one that was sent as UTF-8 is read so."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value
