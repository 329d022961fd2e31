"""Ids at the door: a client's own in canonical form, or fresh ones drawn in bulk."""

import os
import re
import time
from uuid import UUID

_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_ANY_CASE = re.compile(
    r"[0-9A-Fa-f]{8}(-?)[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{12}"
).fullmatch
_VARIANTS = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
_HEX_PER_ID = 20


def canonical_id(text: object) -> str | None:
    """Return a UUID's 36-character lower-case text, or None when `text` is no UUID."""
    if type(text) is not str:
        return None
    if _CANONICAL(text):
        return text
    return str(UUID(text)) if _ANY_CASE(text) else None


def fresh_ids(count: int) -> list[str]:
    """Return `count` UUIDv7 with one clock reading and one draw of randomness."""
    head = f"{time.time_ns() // 1_000_000:012x}"
    head = f"{head[:8]}-{head[8:]}-7"
    drawn = os.urandom(count * _HEX_PER_ID // 2).hex()
    ids = []
    for at in range(0, count * _HEX_PER_ID, _HEX_PER_ID):
        d = drawn[at : at + _HEX_PER_ID]
        ids.append(f"{head}{d[:3]}-{_VARIANTS[d[3]]}{d[4:7]}-{d[7:19]}")
    return ids
