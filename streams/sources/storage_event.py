"""A change of an object in a bucket, whoever reports it, as one of our events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from schemas.event import Event
from schemas.identity import derived_id
from streams.sources.fields import Unusable

CREATED, UPDATED, DELETED, RESTORED, OTHER = "created", "updated", "deleted", "restored", "other"
_PLACE_CHARS_MAX = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a provider says of one object.

    Attributes:
        provider: One of the values of label `provider`.
        place: The resource id.
        key: Decoded; empty for what concerns the whole bucket.
        operation: created, updated, deleted, restored or other.
        raw_event: The provider's own name of it.
        identity: With the place and `raw_event`, what no other change has.
        payload: What the provider said, as it came.
        sequencer: Orders changes of one key.
        size: In bytes.
        related: Other objects that it concerns.

    """

    provider: str
    place: str
    bucket: str
    key: str
    operation: str
    raw_event: str
    occurred: datetime
    identity: Sequence[str]
    payload: Mapping[str, Any]
    size: str = ""
    etag: str = ""
    version: str = ""
    sequencer: str = ""
    related: Sequence[Mapping[str, str]] = ()


def storage_event(change: Change, source: str) -> Event:
    """Return the event; equal for the same change, however often it is delivered. Raises Unusable."""
    if len(change.place) > _PLACE_CHARS_MAX:
        raise Unusable(f"the object's name has more than {_PLACE_CHARS_MAX} characters")
    labels = {
        "resource.id": change.place,
        "provider": change.provider,
        "bucket": change.bucket,
        "key": change.key,
        "size": change.size,
        "etag": change.etag,
        "version": change.version,
        "sequencer": change.sequencer,
        "raw_event": change.raw_event,
    }
    return Event(
        id=derived_id(
            "storage",
            change.place,
            *change.identity,
            change.raw_event,
            ms=int(change.occurred.timestamp() * 1000),
        ),
        event=f"storage.object.{change.operation}",
        resource_id=change.place,
        resource={name: value for name, value in labels.items() if value},
        related=change.related,
        occurred=change.occurred,
        payload=change.payload,
        source=source,
    )
