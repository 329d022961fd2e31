"""Attribute values in HTTP headers (HTTP binding 3.1.3.2): unquoted, then percent-decoded once."""

import re
from urllib.parse import quote, unquote_to_bytes

from streams.sources.cloudevents.attribute_types import Invalid

_BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
# Printable ASCII but for the space, the double quote and the percent sign.
_SAFE = "".join(map(chr, range(0x21, 0x7F))).replace('"', "").replace("%", "")


def decoded(name: str, value: str) -> str:
    """Return the text of a header's value; raises Invalid."""
    if not value.isascii():
        raise Invalid(name, "the header has bytes beyond ASCII; percent-encode its UTF-8")
    plain = _unquoted(name, value) if '"' in value else value
    if "%" not in plain:
        return plain
    if _BARE_PERCENT.search(plain):
        raise Invalid(name, "a % stands without two hexadecimal digits; a percent sign is sent as %25")
    try:
        return unquote_to_bytes(plain).decode()
    except UnicodeDecodeError:
        raise Invalid(name, "its percent-encoding is not valid UTF-8") from None


def encoded(text: str) -> str:
    """Return a text as a header's value."""
    return quote(text, safe=_SAFE)


def _unquoted(name: str, value: str) -> str:
    """Undo double quotes and the backslashes within them (RFC 7230, 3.2.6)."""
    found: list[str] = []
    quoted = escaped = False
    for char in value:
        if escaped:
            found.append(char)
            escaped = False
        elif char == '"':
            quoted = not quoted
        elif quoted and char == "\\":
            escaped = True
        else:
            found.append(char)
    if quoted or escaped:
        raise Invalid(name, "a double quote is not closed")
    return "".join(found)
