"""Changes of blobs, in either schema of Event Grid.

The address in `url` is percent-encoded; `subject` is the name as it is, or encoded likewise, and nothing says
which. So the address decides wherever it agrees with the subject.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from schemas.event import Event
from streams.sources.fields import Unusable, object_at, optional_at, percent_decoded, text_at, time_of
from streams.sources.storage_event import CREATED, DELETED, OTHER, UPDATED, Change, storage_event

_STORAGE = "Microsoft.Storage."
_OPERATIONS = {
    "BlobCreated": CREATED,
    "BlobDeleted": DELETED,
    "BlobRenamed": CREATED,  # under its new name; `related` has the old one
    "BlobTierChanged": UPDATED,
}
_SUBJECT = re.compile(r"/blobServices/[^/]+/containers/([^/]+)(?:/blobs/(.*))?", re.DOTALL)
_ACCOUNT = re.compile(r"/storageAccounts/([^/]+)", re.IGNORECASE)
_ADDRESSES = ("url", "blobUrl", "destinationUrl")


def is_of_storage(kind: str) -> bool:
    """Tell whether a type of event is one of Blob Storage."""
    return kind.startswith(_STORAGE)


def blob_event(event: Mapping[str, Any], source: str) -> Event:
    """Return the event of a storage account; raises Unusable.

    `event` has the names of the Event Grid schema, whichever it came in.
    """
    raw_event = text_at(event, "eventType").removeprefix(_STORAGE)
    data = object_at(event, "data")
    address = next((text for name in _ADDRESSES if (text := optional_at(data, name))), "")
    container, key = _name(optional_at(event, "subject"), address)
    account = _account(optional_at(event, "topic"), address)
    operation = _OPERATIONS.get(raw_event, OTHER)
    if operation != OTHER and not key:
        raise Unusable("subject names no blob")
    sequencer = optional_at(data, "sequencer")
    origin = optional_at(data, "sourceUrl")
    return storage_event(
        Change(
            provider="azure",
            place=f"azure://{account}/{container}/{key}",
            bucket=container,
            key=key,
            operation=operation,
            raw_event=raw_event,
            occurred=time_of(text_at(event, "eventTime"), "eventTime"),
            identity=(sequencer or text_at(event, "id"),),
            payload=event,
            size=optional_at(data, "contentLength"),
            etag=optional_at(data, "eTag").strip('"'),
            version=optional_at(data, "versionId") or optional_at(data, "blobVersion"),
            sequencer=sequencer,
            related=[_renamed_from(account, origin)] if origin else (),
        ),
        source,
    )


def _name(subject: str, address: str) -> tuple[str, str]:
    """Return container and decoded key; empty for what concerns the whole account. Raises Unusable."""
    found = _SUBJECT.fullmatch(subject)
    if found is None:
        return "", ""
    container, told = found[1], found[2] or ""
    if address:
        path = _path(address)
        # Blobs of the container $root have no container in their address.
        for encoded in (path.partition(f"/{container}/")[2], path.lstrip("/")):
            key = percent_decoded(encoded, "url")
            if key and key in {told, percent_decoded(told, "subject")}:
                return container, key
    return container, percent_decoded(told, "subject")


def _path(address: str) -> str:
    try:
        return urlsplit(address).path
    except ValueError:
        raise Unusable(f"url {address[:100]!r} is no address") from None


def _account(topic: str, address: str) -> str:
    """Return the storage account's name; raises Unusable."""
    found = _ACCOUNT.search(topic)
    if found is not None:
        return found[1]
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        host = ""
    if not host:
        raise Unusable("neither topic nor url names the storage account")
    return host.partition(".")[0]


def _renamed_from(account: str, address: str) -> Mapping[str, str]:
    place = f"azure://{account}/{percent_decoded(_path(address), 'sourceUrl').lstrip('/')}"
    return {"resource.id": place, "resource.role": "renamed_from"}
