"""Changes in buckets of Google Cloud Storage, by Pub/Sub notification and by Eventarc.

Names of objects come as they are, never encoded. A generation is written once; its metadata change.
"""

from collections.abc import Mapping
from typing import Any

from schemas.event import Event
from streams.sources.fields import Unusable, object_at, optional_at, text_at, time_of
from streams.sources.storage_event import CREATED, DELETED, OTHER, UPDATED, Change, storage_event

_NOTIFIED = {
    "OBJECT_FINALIZE": CREATED,
    "OBJECT_METADATA_UPDATE": UPDATED,
    "OBJECT_DELETE": DELETED,
    "OBJECT_ARCHIVE": DELETED,  # the live version is gone, an older one is kept
}
_EVENTARC = "google.cloud.storage.object.v1."
_RAISED = {
    "finalized": "OBJECT_FINALIZE",
    "metadataUpdated": "OBJECT_METADATA_UPDATE",
    "deleted": "OBJECT_DELETE",
    "archived": "OBJECT_ARCHIVE",
}
_SUBJECT = "objects/"


def is_notification(attributes: Mapping[str, Any]) -> bool:
    """Tell whether a message's attributes are those of a bucket's notification."""
    return all(isinstance(attributes.get(name), str) for name in ("eventType", "bucketId", "objectId"))


def is_raised(event: Mapping[str, Any]) -> bool:
    """Tell whether a CloudEvent is of Cloud Storage."""
    return optional_at(event, "type").startswith(_EVENTARC)


def notified_event(attributes: Mapping[str, Any], data: Any, fallback_time: str, source: str) -> Event:
    """Return the event of a bucket's notification.

    Args:
        attributes: Of the message.
        data: The object's resource, None where the notification has no payload.
        fallback_time: When the message was published, for notifications without a time of their own.
        source: The source's name.

    Raises Unusable.

    """
    item = data if isinstance(data, Mapping) else {}
    at = optional_at(attributes, "eventTime") or optional_at(item, "updated") or fallback_time
    return _event(
        bucket=text_at(attributes, "bucketId"),
        key=text_at(attributes, "objectId"),
        raw_event=text_at(attributes, "eventType"),
        generation=optional_at(attributes, "objectGeneration") or optional_at(item, "generation"),
        overwritten=bool(optional_at(attributes, "overwrittenByGeneration")),
        item=item,
        at=at,
        payload={"attributes": dict(attributes), "object": item}
        if item
        else {"attributes": dict(attributes)},
        source=source,
    )


def raised_event(event: Mapping[str, Any], source: str) -> Event:
    """Return the event of Eventarc's CloudEvent; raises Unusable."""
    name = text_at(event, "type").removeprefix(_EVENTARC)
    item = object_at(event, "data")
    subject = optional_at(event, "subject")
    key = optional_at(item, "name") or subject.removeprefix(_SUBJECT)
    if not key:
        raise Unusable("data.name is missing or no text")
    return _event(
        bucket=optional_at(item, "bucket") or text_at(event, "bucket"),
        key=key,
        raw_event=_RAISED.get(name, name),
        generation=optional_at(item, "generation"),
        overwritten=False,
        item=item,
        at=optional_at(event, "time") or optional_at(item, "updated"),
        payload=event,
        source=source,
    )


def _event(
    *,
    bucket: str,
    key: str,
    raw_event: str,
    generation: str,
    overwritten: bool,
    item: Mapping[str, Any],
    at: str,
    payload: Mapping[str, Any],
    source: str,
) -> Event:
    operation = _NOTIFIED.get(raw_event, OTHER)
    if operation == DELETED and overwritten:
        operation = OTHER  # an older content went; the object is there, and its own event says so
    metageneration = optional_at(item, "metageneration")
    return storage_event(
        Change(
            provider="gcs",
            place=f"gs://{bucket}/{key}",
            bucket=bucket,
            key=key,
            operation=operation,
            raw_event=raw_event,
            occurred=time_of(at, "eventTime"),
            identity=(generation or at, metageneration or at),
            payload=payload,
            size=optional_at(item, "size"),
            etag=optional_at(item, "etag"),
            version=generation,
            sequencer=metageneration,
        ),
        source,
    )
