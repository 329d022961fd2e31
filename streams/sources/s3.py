"""`Records` as Amazon S3 and MinIO send them, as storage events."""

from collections.abc import Mapping
from typing import Any

from schemas.event import Event
from streams.errors import Poison
from streams.inbound import Delivery, Outcome, Taken
from streams.sources.fields import Unusable, object_at, optional_at, percent_decoded, text_at, time_of
from streams.sources.json_body import json_body
from streams.sources.storage_event import (
    CREATED,
    DELETED,
    OTHER,
    RESTORED,
    UPDATED,
    Change,
    storage_event,
)

RECORDS_MAX = 10_000  # read at one go while others wait; Amazon sends one, MinIO one, a queue ten
_TEST_EVENT = "TestEvent"
_PROVIDERS = {"aws:s3": "aws", "minio:s3": "minio"}
_OTHER_PROVIDER = "s3"  # whoever speaks S3's language
# Exact names first; else the part before the colon decides.
_OPERATIONS = {
    "ObjectRestore:Completed": RESTORED,
    "ObjectCreated:PutTagging": UPDATED,
    "ObjectCreated:DeleteTagging": UPDATED,
    "ObjectCreated:PutRetention": UPDATED,
    "ObjectCreated:PutLegalHold": UPDATED,
    "ObjectRemoved:NoOP": OTHER,  # MinIO: nothing was there
    "ObjectTransition:Complete": UPDATED,
    "ObjectCreated": CREATED,
    "ObjectRemoved": DELETED,
    "LifecycleExpiration": DELETED,
    "ObjectTagging": UPDATED,
    "ObjectAcl": UPDATED,
    "LifecycleTransition": UPDATED,
    "IntelligentTiering": UPDATED,
}


class S3Form:
    """Amazon's and MinIO's notifications as they post them themselves."""

    def read(self, delivery: Delivery, source: str) -> Outcome:
        """Return the events of a body; raises Poison when it is no notification at all."""
        return records(json_body(delivery), source)


def is_records(document: object) -> bool:
    """Tell whether a document is of this form, Amazon's test included."""
    return isinstance(document, Mapping) and (
        isinstance(document.get("Records"), list)
        or str(document.get("Event", "")).removeprefix("s3:") == _TEST_EVENT
    )


def records(document: object, source: str) -> Taken:
    """Return the events of a document with `Records`; raises Poison when it has none."""
    if not isinstance(document, Mapping):
        raise Poison("the body is no object with Records", reason="unknown_format")
    if str(document.get("Event", "")).removeprefix("s3:") == _TEST_EVENT:
        return Taken()  # Amazon asks whether we are here
    listed = document.get("Records")
    if not isinstance(listed, list):
        raise Poison("the body has no array Records", reason="unknown_format")
    if len(listed) > RECORDS_MAX:
        text = f"the body has {len(listed)} records, {RECORDS_MAX} are the most; send it in parts"
        raise Poison(text, reason="too_large")
    found: list[Event] = []
    unusable: list[str] = []
    for at, record in enumerate(listed):
        try:
            found.append(_event(record, source))
        except Unusable as error:
            unusable.append(f"record {at}: {error}")
    return Taken(events=in_order(found), unusable=unusable)


def in_order(events: list[Event]) -> list[Event]:
    """Return events by sequencer within a key; between keys there is no order to keep.

    Sequencers of one key compare as hexadecimal texts, the shorter padded left.
    """
    return sorted(
        events, key=lambda event: (event.resource_id, event.resource.get("sequencer", "").zfill(64))
    )


def _event(record: Any, source: str) -> Event:
    version = text_at(record, "eventVersion")
    if version.split(".")[0] != "2":
        raise Unusable(f"eventVersion {version[:20]!r} is not 2.x")
    raw_event = text_at(record, "eventName").removeprefix("s3:")
    operation = _OPERATIONS.get(raw_event) or _OPERATIONS.get(raw_event.partition(":")[0], OTHER)
    storage = object_at(record, "s3")
    bucket = text_at(object_at(storage, "bucket"), "name")
    item, key = _item(storage, operation)
    at = text_at(record, "eventTime")
    sequencer, version_id, etag = (optional_at(item, name) for name in ("sequencer", "versionId", "eTag"))
    return storage_event(
        Change(
            provider=_PROVIDERS.get(optional_at(record, "eventSource"), _OTHER_PROVIDER),
            place=f"s3://{bucket}/{key}",
            bucket=bucket,
            key=key,
            operation=operation,
            raw_event=raw_event,
            occurred=time_of(at, "eventTime"),
            # Only creations and removals have sequencers; else all that tells two changes apart counts, for
            # one version may be tagged often, and "null" is the version of every unversioned object.
            identity=(sequencer or "\x1f".join((version_id, etag, at, _request(record))),),
            payload=record,
            size=optional_at(item, "size"),
            etag=etag,
            version=version_id,
            sequencer=sequencer,
        ),
        source,
    )


def _item(storage: Mapping[str, Any], operation: str) -> tuple[Mapping[str, Any], str]:
    """Return the object and its key; what concerns a whole bucket has neither."""
    if operation == OTHER and not optional_at(storage.get("object"), "key"):
        return {}, ""
    item = object_at(storage, "object")
    # Keys are form-encoded: + is a space, %XX are bytes of UTF-8.
    return item, percent_decoded(text_at(item, "key").replace("+", " "), "key")


def _request(record: Mapping[str, Any]) -> str:
    """Return the id of the request that made the change, empty when it is not told."""
    return optional_at(record.get("responseElements"), "x-amz-request-id")
