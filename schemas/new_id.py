"""Fresh ids (UUIDv7) for things without an identity of their own. Draws the clock and randomness."""

import secrets
import time


def new_id(ms: int | None = None) -> str:
    """Return a UUIDv7 text; `ms` (milliseconds since the epoch) defaults to now.

    Draw it once, before any retry: the same event sent again must carry the same id.
    """
    at = time.time_ns() // 1_000_000 if ms is None else ms
    number = at << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0x2 << 62 | secrets.randbits(62)
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
