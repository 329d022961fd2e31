"""What the door could not use, as a record."""

import time
from hashlib import blake2b

from schemas.dead_letter import Stage
from schemas.identity import derived_id
from schemas.record import DeadLetter


def dead_letter(
    raw: bytes,
    *,
    source: str,
    reason: str,
    error: str,
    headers: str = "{}",
    place: tuple[str, int, int] | None = None,
) -> DeadLetter:
    """Return the dead letter of `raw`; the same bytes from the same source have the same id.

    What lies in a log (`place`: topic, partition, offset) is told apart by its place as well.
    """
    content = blake2b(raw, digest_size=20).hexdigest()
    topic, partition, offset = place or (None, None, None)
    return DeadLetter(
        id=derived_id("dead-letter", Stage.DOOR, source, content, *(place or ())),
        event="ensue.dead_letter",
        stage=Stage.DOOR,
        reason=reason,
        error=error,
        raw=raw,
        headers=headers,
        at=time.time_ns() // 1000,
        source=source,
        from_topic=topic,
        from_partition=partition,
        from_offset=offset,
    )
