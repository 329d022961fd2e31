"""What the door could not use, as a record."""

import time
from hashlib import blake2b

from schemas.dead_letter import Stage
from schemas.identity import derived_id
from schemas.record import DeadLetter


def dead_letter(raw: bytes, *, source: str, reason: str, error: str, headers: str = "{}") -> DeadLetter:
    """Return the dead letter of `raw`; the same bytes from the same source have the same id."""
    return DeadLetter(
        id=derived_id("dead-letter", Stage.DOOR, source, blake2b(raw, digest_size=20).hexdigest()),
        event="ensue.dead_letter",
        stage=Stage.DOOR,
        reason=reason,
        error=error,
        raw=raw,
        headers=headers,
        at=time.time_ns() // 1000,
        source=source,
    )
