"""Ids that follow from what they name (UUIDv8), so that the same thing always gets the same id. Pure."""

from hashlib import blake2b

_VERSION_8 = 0x8 << 76
_VARIANT = 0x2 << 62
_SEPARATOR = b"\x1f"


def derived_id(*parts: str | int | None, ms: int = 0) -> str:
    """Return the UUIDv8 text of `parts`.

    Args:
        parts: What identifies the thing; order counts, `None` differs from the empty text.
        ms: Milliseconds since the epoch of a time *in the delivery itself*, else zero. It fills the
            first 48 bits and makes the id sortable and its age readable (DESIGN 5.2).

    """
    # The kind goes in as well: the number 1 and the text "1" are different names.
    named = [
        b"n"
        if part is None
        else (b"i%d" % part if isinstance(part, int) else b"s" + part.encode("utf-8", "surrogatepass"))
        for part in parts
    ]
    whole = b"".join([b"%d:%b%b" % (len(data), data, _SEPARATOR) for data in named])
    return _as_uuid(ms, int.from_bytes(blake2b(whole, digest_size=10).digest()))


def _as_uuid(ms: int, rest_80: int) -> str:
    """Lay 48 bits of time and 74 of the hash out as UUIDv8 text."""
    if not 0 <= ms < 1 << 48:
        ms = 0
    number = (
        ms << 80 | _VERSION_8 | (rest_80 >> 68 & 0xFFF) << 64 | _VARIANT | rest_80 & 0x3FFF_FFFF_FFFF_FFFF
    )
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def id_time_ms(id_text: str) -> int | None:
    """Return the milliseconds in a UUIDv7's or v8's first 48 bits, or None when the id carries no time."""
    if len(id_text) != 36 or id_text[14] not in "78":
        return None
    return int(id_text[:8] + id_text[9:13], 16) or None
