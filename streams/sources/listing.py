"""What lies in a bucket or a folder now: for events that nobody reported while we were not there.

A listing has no sequencer, so it says of an object only that it is there, with its etag and its time.
"""

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from schemas.event import Event
from streams.source_settings import FolderSource
from streams.sources.folder_event import file_event
from streams.sources.folder_scan import FolderScan
from streams.sources.ledger import Ledger, Version, version_of
from streams.sources.settled import Settling
from streams.sources.storage_event import CREATED, Change, storage_event

PAGE = 1000
SAME_TIME = timedelta(seconds=2)
_PROVIDERS = {"s3": "aws", "minio": "minio", "gcs": "gcs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One object or file.

    Attributes:
        place: Its resource id.
        etag: Without quotes; empty when there is none.
        modified: When it got what it holds.
        file: Of a file its state, else None.

    """

    place: str
    bucket: str
    key: str
    size: int
    etag: str
    modified: datetime
    file: Version | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the store has of a place: one change of it, `gone` when it was a deletion."""

    gone: bool
    etag: str
    version: str
    size: str
    at: datetime


class Listing(Protocol):
    """A place whose content can be listed in the order of its keys."""

    def pages(self, *, since: datetime, prefix: str, after: str) -> Iterator[tuple[str, Sequence[Listed]]]:
        """Yield the last key of each page with what of it is as new as `since`, from behind key `after`."""
        ...

    def event(self, listed: Listed) -> Event:
        """Return the event that should have been; equal whenever it is made. Raises Unusable."""
        ...


def absent(listed: Sequence[Listed], known: Mapping[str, Sequence[Known]]) -> list[Listed]:
    """Return those of which the store has no event: another etag, or none since the object was deleted."""
    return [one for one in listed if not _is_known(one, known.get(one.place, ()))]


def _is_known(listed: Listed, known: Sequence[Known]) -> bool:
    gone = max((one.at for one in known if one.gone), default=None)
    since = [one for one in known if not one.gone and (gone is None or one.at >= gone)]
    # Google's notifications and listings name etags of two kinds; there size and time tell the version.
    by_time = listed.place.startswith("gs://")
    return any(
        (listed.etag and one.etag.strip('"') == listed.etag)
        or (by_time and one.size == str(listed.size) and abs(one.at - listed.modified) <= SAME_TIME)
        for one in since
    )


class BucketListing:
    """A bucket behind S3's interface: Amazon, MinIO, or Google's interoperable one."""

    def __init__(self, client: Any, *, kind: str, bucket: str, source: str) -> None:
        """`client` is boto3's."""
        self._client = client
        self._bucket = bucket
        self._source = source
        self._provider = _PROVIDERS[kind]
        self._scheme = "gs" if kind == "gcs" else "s3"

    def pages(self, *, since: datetime, prefix: str, after: str) -> Iterator[tuple[str, Sequence[Listed]]]:
        """As the port says; raises botocore's errors."""
        asked: dict[str, Any] = {"Bucket": self._bucket, "Prefix": prefix, "MaxKeys": PAGE}
        if after:
            asked["StartAfter"] = after
        while True:
            answer = self._client.list_objects_v2(**asked)
            items = answer.get("Contents", [])
            found = [self._listed(item) for item in items if item["LastModified"] >= since]
            if items:
                yield items[-1]["Key"], found
            if not answer.get("IsTruncated"):
                return
            asked["ContinuationToken"] = answer["NextContinuationToken"]

    def event(self, listed: Listed) -> Event:
        """As the port says."""
        told = {"key": listed.key, "size": listed.size, "etag": listed.etag}
        change = Change(
            provider=self._provider,
            place=listed.place,
            bucket=listed.bucket,
            key=listed.key,
            operation=CREATED,
            raw_event="Backfill",
            occurred=listed.modified,
            identity=("backfill", listed.etag, listed.modified.isoformat()),
            payload={"backfill": {**told, "last_modified": listed.modified.isoformat()}},
            size=str(listed.size),
            etag=listed.etag,
        )
        return storage_event(change, self._source)

    def _listed(self, item: Mapping[str, Any]) -> Listed:
        key = item["Key"]
        return Listed(
            place=f"{self._scheme}://{self._bucket}/{key}",
            bucket=self._bucket,
            key=key,
            size=item["Size"],
            etag=item.get("ETag", "").strip('"'),
            modified=item["LastModified"].astimezone(UTC),
        )


class FolderListing:
    """A folder; its events are those that its watch makes, so that both are one."""

    def __init__(self, settings: FolderSource, *, source: str, host: str = "") -> None:
        """`host` is this machine's name in resource ids."""
        self._source = source
        self._host = host or socket.gethostname()
        self._root = os.path.realpath(settings.path)
        self._bucket = settings.bucket or Path(self._root).name
        nothing = Ledger(Path(":memory:"))
        self._scan = FolderScan(
            os.fsencode(self._root), settings.ignore, nothing, Settling(settings.settle_ms)
        )

    def pages(self, *, since: datetime, prefix: str, after: str) -> Iterator[tuple[str, Sequence[Listed]]]:
        """As the port says."""
        wanted, behind = os.fsencode(prefix), os.fsencode(after)
        paths = sorted(path for path in self._scan.walk() if path.startswith(wanted) and path > behind)
        for start in range(0, len(paths), PAGE):
            part = paths[start : start + PAGE]
            found = [one for path in part if (one := self._listed(path)) and one.modified >= since]
            yield os.fsdecode(part[-1]), found

    def event(self, listed: Listed) -> Event:
        """As the port says."""
        assert listed.file is not None, "listed by this class"
        return file_event(
            "created",
            source=self._source,
            host=self._host,
            bucket=self._bucket,
            root=self._root,
            key=listed.key,
            version=listed.file,
            now_us=0,
        )

    def _listed(self, path: bytes) -> Listed | None:
        try:
            key = path.decode()
            version = version_of(os.lstat(os.fsencode(self._root) + b"/" + path))
        except (UnicodeDecodeError, OSError):
            return None  # the watch makes a dead letter of the one; the other is gone
        return Listed(
            place=f"file://{self._host}{self._root.rstrip('/')}/{key}",
            bucket=self._bucket,
            key=key,
            size=version.size,
            etag=f"{version.mtime_ns:x}-{version.size:x}",
            modified=datetime.fromtimestamp(version.ctime_ns / 1e9, UTC),
            file=version,
        )
