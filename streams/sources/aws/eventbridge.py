"""Events of Amazon EventBridge, those of buckets above all.

EventBridge names keys as they are; only the older notifications form-encode them.
"""

from collections.abc import Mapping
from typing import Any

from schemas.event import Event
from schemas.identity import derived_id
from streams.sources.fields import Unusable, object_at, optional_at, text_at, time_of
from streams.sources.storage_event import (
    CREATED,
    DELETED,
    OTHER,
    RESTORED,
    UPDATED,
    Change,
    storage_event,
)

_OPERATIONS = {
    "Object Created": CREATED,
    "Object Deleted": DELETED,
    "Object Restore Completed": RESTORED,
    "Object Storage Class Changed": UPDATED,
    "Object Access Tier Changed": UPDATED,
    "Object Tags Added": UPDATED,
    "Object Tags Deleted": UPDATED,
    "Object ACL Updated": UPDATED,
}
_BUCKETS = "aws.s3"
_OF_OBJECTS = "Object "
_NAME_CHARS_MAX = 512


def is_eventbridge(document: object) -> bool:
    """Tell whether a document is an event of EventBridge."""
    return isinstance(document, Mapping) and {"detail-type", "source", "detail"} <= document.keys()


def is_of_a_bucket(document: Mapping[str, Any]) -> bool:
    """Tell whether it is about an object in a bucket."""
    return document.get("source") == _BUCKETS and optional_at(document, "detail-type").startswith(_OF_OBJECTS)


def bucket_event(document: Mapping[str, Any], source: str) -> Event:
    """Return the event of a bucket's change; raises Unusable."""
    detail = object_at(document, "detail")
    bucket = text_at(object_at(detail, "bucket"), "name")
    item = object_at(detail, "object")
    key = text_at(item, "key")
    raw_event = text_at(document, "detail-type")
    sequencer = optional_at(item, "sequencer")
    return storage_event(
        Change(
            provider="aws",
            place=f"s3://{bucket}/{key}",
            bucket=bucket,
            key=key,
            operation=_OPERATIONS.get(raw_event, OTHER),
            raw_event=raw_event,
            occurred=time_of(text_at(document, "time"), "time"),
            identity=(sequencer or text_at(document, "id"),),
            payload=document,
            size=optional_at(item, "size"),
            etag=optional_at(item, "etag"),
            version=optional_at(item, "version-id"),
            sequencer=sequencer,
        ),
        source,
    )


def other_event(document: Mapping[str, Any], source: str) -> Event:
    """Return the event of anything else: `eventbridge.DETAIL-TYPE`. Raises Unusable."""
    name, sender, number = (text_at(document, field) for field in ("detail-type", "source", "id"))
    if len(name) > _NAME_CHARS_MAX or not name.isprintable():
        raise Unusable("detail-type is no name")
    occurred = time_of(text_at(document, "time"), "time")
    resources = document.get("resources")
    first = resources[0] if isinstance(resources, list) and resources else None
    place = first if isinstance(first, str) and first else sender
    labels = {
        "resource.id": place,
        "provider": "aws",
        "source": sender,
        "account": optional_at(document, "account"),
        "region": optional_at(document, "region"),
        "raw_event": name,
    }
    return Event(
        id=derived_id("eventbridge", sender, number, ms=int(occurred.timestamp() * 1000)),
        event=f"eventbridge.{name}",
        resource_id=place,
        resource={label: value for label, value in labels.items() if value},
        occurred=occurred,
        payload=document,
        source=source,
    )
