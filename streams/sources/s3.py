"""`Records` as Amazon S3 and MinIO send them, as storage events."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_to_bytes

from schemas.event import Event
from schemas.identity import derived_id
from streams.errors import Poison
from streams.inbound import Delivery, Outcome, Taken
from streams.sources.json_body import json_body

_TEST_EVENT = "TestEvent"
_PROVIDERS = {"aws:s3": "aws", "minio:s3": "minio"}
# Exact names first; else the part before the colon decides.
_OPERATIONS = {
    "ObjectRestore:Completed": "restored",
    "ObjectCreated:PutTagging": "updated",
    "ObjectCreated:DeleteTagging": "updated",
    "ObjectCreated:PutRetention": "updated",
    "ObjectCreated:PutLegalHold": "updated",
    "ObjectCreated": "created",
    "ObjectRemoved": "deleted",
    "LifecycleExpiration": "deleted",
    "ObjectTagging": "updated",
    "ObjectAcl": "updated",
}
_OTHER = "other"


class S3Form:
    """Amazon's and MinIO's notifications as they post them themselves."""

    def read(self, delivery: Delivery, source: str) -> Outcome:
        """Return the events of a body; raises Poison when it is no notification at all."""
        return records(json_body(delivery), source)


def records(document: object, source: str) -> Taken:
    """Return the events of a document with `Records`; raises Poison when it has none."""
    if not isinstance(document, Mapping):
        raise Poison("the body is no object with Records", reason="unknown_format")
    if str(document.get("Event", "")).removeprefix("s3:") == _TEST_EVENT:
        return Taken()  # Amazon asks whether we are here
    listed = document.get("Records")
    if not isinstance(listed, list):
        raise Poison("the body has no array Records", reason="unknown_format")
    found: list[Event] = []
    unusable: list[str] = []
    for at, record in enumerate(listed):
        try:
            found.append(_event(record, source))
        except _Unusable as error:
            unusable.append(f"record {at}: {error}")
    # Sequencers of one key compare as hexadecimal texts, the shorter padded left; between keys there is
    # no order to keep.
    found.sort(key=lambda event: (event.resource_id, event.resource.get("sequencer", "").zfill(64)))
    return Taken(events=found, unusable=unusable)


class _Unusable(ValueError):
    """A record without what an event needs; the text says what."""


def _event(record: Any, source: str) -> Event:
    version = _text(record, "eventVersion")
    if version.split(".")[0] != "2":
        raise _Unusable(f"eventVersion {version[:20]!r} is not 2.x")
    raw_event = _text(record, "eventName").removeprefix("s3:")
    storage = _object(record, "s3")
    bucket = _text(_object(storage, "bucket"), "name")
    item = _object(storage, "object")
    key = _key(_text(item, "key"))
    occurred = _time(_text(record, "eventTime"))
    operation = _OPERATIONS.get(raw_event) or _OPERATIONS.get(raw_event.partition(":")[0], _OTHER)
    sequencer, version_id, etag = (_optional(item, name) for name in ("sequencer", "versionId", "eTag"))
    place = f"s3://{bucket}/{key}"
    labels = {
        "resource.id": place,
        "provider": _PROVIDERS.get(str(record.get("eventSource", "")), "s3"),
        "bucket": bucket,
        "key": key,
        "size": _optional(item, "size"),
        "etag": etag,
        "version": version_id,
        "sequencer": sequencer,
        "raw_event": raw_event,
    }
    return Event(
        id=derived_id(
            "s3",
            bucket,
            key,
            # Without either, what the record says of the change is all that can tell two changes apart.
            sequencer or version_id or f"{etag}\x1f{_text(record, 'eventTime')}",
            raw_event,
            ms=int(occurred.timestamp() * 1000),
        ),
        event=f"storage.object.{operation}",
        resource_id=place,
        resource={name: value for name, value in labels.items() if value},
        occurred=occurred,
        payload=record,
        source=source,
    )


def _object(value: Any, name: str) -> Mapping[str, Any]:
    found = value.get(name) if isinstance(value, Mapping) else None
    if not isinstance(found, Mapping):
        raise _Unusable(f"{name} is missing or no object")
    return found


def _text(value: Any, name: str) -> str:
    found = value.get(name) if isinstance(value, Mapping) else None
    if not isinstance(found, str) or not found:
        raise _Unusable(f"{name} is missing or no text")
    return found


def _optional(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    if isinstance(found, str):
        return found
    return str(found) if isinstance(found, int) and not isinstance(found, bool) else ""


def _key(encoded: str) -> str:
    """Undo the form encoding of keys: + is a space, %XX are bytes of UTF-8."""
    try:
        return unquote_to_bytes(encoded.replace("+", " ")).decode()
    except UnicodeDecodeError:
        raise _Unusable(f"key {encoded[:100]!r} is not UTF-8 when decoded") from None


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise _Unusable(f"eventTime {text[:40]!r} is no time") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
