"""A file's change as an event."""

from schemas.event import Event, from_micros
from schemas.identity import derived_id
from streams.sources.ledger import Version


def file_event(
    change: str, *, source: str, host: str, bucket: str, root: str, key: str, version: Version, now_us: int
) -> Event:
    """Return the event; equal for the same change of the same version, so that a repeat does nothing.

    Args:
        change: created, updated or deleted; for deleted, `version` is the last one acknowledged.
        source: The source's name.
        host: This machine's name.
        bucket: Label.
        root: The folder's absolute path.
        key: Path below it, with `/` between parts.
        version: The file's state. Its ctime moves with every write and every rename, so a file that is
            taken away and brought back unchanged is another event.
        now_us: The time, for what has none of its own (a deletion).

    """
    path = f"{root.rstrip('/')}/{key}"
    place = f"file://{host}{path}"
    occurred_us = now_us if change == "deleted" else version.ctime_ns // 1000
    return Event(
        id=derived_id(
            "folder",
            host,
            path,
            "deleted" if change == "deleted" else "written",
            version.inode,
            version.size,
            version.mtime_ns,
            version.ctime_ns,
            ms=version.ctime_ns // 1_000_000,
        ),
        event=f"storage.object.{change}",
        resource_id=place,
        resource={
            "resource.id": place,
            "provider": "folder",
            "bucket": bucket,
            "key": key,
            "path": path,
            "size": str(version.size),
            "etag": f"{version.mtime_ns:x}-{version.size:x}",
        },
        occurred=from_micros(occurred_us),
        source=source,
    )
