"""Where a reader stands: the next offset of every partition, as one short text.

A single event's id would not do: partitions are read side by side, and what was seen of the others is part of
where one stands. With the whole vector a reader goes on without a gap and without a repeat.
"""

import base64
import binascii
from collections.abc import Sequence

from streams.errors import BadInput

Positions = tuple[int, ...]  # by partition
TEXT_CHARS_MAX = 20_000
_VERSION = 1
_OFFSET_MAX = 1 << 63


def encode(positions: Sequence[int]) -> str:
    """Return the text: URL-safe, without padding."""
    out = bytearray((_VERSION,))
    for rest in positions:
        while rest > 0x7F:
            out.append(rest & 0x7F | 0x80)
            rest >>= 7  # noqa: PLW2901 - the number is used up
        out.append(rest)
    return base64.urlsafe_b64encode(out).rstrip(b"=").decode()


def decode(text: str, partitions: int) -> Positions:
    """Return the positions; raises BadInput when the text is no position in a log of so many partitions."""
    problem = BadInput(f"{text[:60]!r} is no position in this log; leave it out to begin with what comes now")
    if len(text) > TEXT_CHARS_MAX or not text.isascii():
        raise problem
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise problem from None
    if not raw or raw[0] != _VERSION or raw[-1] & 0x80:
        raise problem
    found, number, shift = [], 0, 0
    for byte in raw[1:]:
        number |= (byte & 0x7F) << shift
        shift += 7
        if number >= _OFFSET_MAX:
            raise problem
        if not byte & 0x80:
            found.append(number)
            number, shift = 0, 0
    if len(found) != partitions:
        raise problem
    return tuple(found)
