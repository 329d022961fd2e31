"""The type system of CloudEvents (v1.0.2, core, "Type System"): what a value must look like. Pure."""

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

_NAME_SHOWN_CHARS = 100
_KNOWN = 512  # times and URIs remembered: the same few come again, and one event's are asked for twice
INTEGER_MIN, INTEGER_MAX = -(2**31), 2**31 - 1
Value = str | int | bool

# Control characters, surrogates that are no pair, and what Unicode calls noncharacters.
_NONCHARACTERS = "\ufdd0-\ufdef" + "".join(
    f"{chr(plane | 0xFFFE)}-{chr(plane | 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
)
_FORBIDDEN = re.compile(f"[\x00-\x1f\x7f-\x9f\ud800-\udfff{_NONCHARACTERS}]")
_NAME = re.compile(r"[a-z0-9]+")

# RFC 3986, appendix A.
_PCT = r"%[0-9A-Fa-f]{2}"
_PLAIN = r"A-Za-z0-9\-._~!$&'()*+,;="
_IP_LITERAL = rf"\[(?:[0-9A-Fa-f:.]+|[vV][0-9A-Fa-f]+\.[{_PLAIN}:]+)\]"
_AUTHORITY = rf"(?:(?:[{_PLAIN}:]++|{_PCT})*+@)?(?:{_IP_LITERAL}|(?:[{_PLAIN}]++|{_PCT})*+)(?::[0-9]*)?"
_CHARS = rf"(?:[{_PLAIN}:@]++|{_PCT})"
_SEGMENTS = rf"(?:/{_CHARS}*+)*+"
_ROOTED = rf"//{_AUTHORITY}{_SEGMENTS}|/(?:{_CHARS}++{_SEGMENTS})?"
_QUERY = rf"(?:\?(?:[/?]++|{_CHARS})*+)?"
_FRAGMENT = rf"(?:#(?:[/?]++|{_CHARS})*+)?"
_ABSOLUTE = rf"[A-Za-z][A-Za-z0-9+\-.]*:(?:{_ROOTED}|{_CHARS}++{_SEGMENTS}|){_QUERY}"
_RELATIVE = rf"(?:{_ROOTED}|(?:[{_PLAIN}@]++|{_PCT})++{_SEGMENTS}|){_QUERY}"
_ABSOLUTE_URI = re.compile(_ABSOLUTE)
_URI_REFERENCE = re.compile(rf"(?:{_ABSOLUTE}|{_RELATIVE}){_FRAGMENT}")

# RFC 3339, section 5.6; T and Z may be lower case there.
_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))",
    re.ASCII,
)
# RFC 2045, section 5.1, with the spaces that HTTP puts around a semicolon.
_TOKEN = r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]+"  # noqa: S105 - a grammar
_TEXT = r"(?:[\t !#-\[\]-~]|\\[\t -~])*"
_QUOTED = rf'"{_TEXT}"'
_MEDIA_TYPE = re.compile(
    rf"({_TOKEN}/{_TOKEN})((?:[ \t]*;[ \t]*{_TOKEN}=(?:{_TOKEN}|{_QUOTED}))*)[ \t]*", re.ASCII
)
_PARAMETER = re.compile(rf';[ \t]*({_TOKEN})=(?:({_TOKEN})|"({_TEXT})")', re.ASCII)


class Invalid(ValueError):
    """What makes a CloudEvent invalid.

    Attributes:
        name: The attribute or member at fault; empty when it is the event as a whole.
        reason: Why, fit for the sender.

    """

    def __init__(self, name: str, reason: str) -> None:
        shown = name[:_NAME_SHOWN_CHARS]
        super().__init__(f"{shown}: {reason}" if shown else reason)
        self.name = shown
        self.reason = reason


def check_name(name: str) -> None:
    """Raise Invalid unless an attribute may be called so; up to 20 characters is a SHOULD, so no bound."""
    if not _NAME.fullmatch(name) or name == "data":
        shown = name[:_NAME_SHOWN_CHARS].encode("ascii", "backslashreplace").decode()
        raise Invalid(
            shown, "an attribute's name has only lower-case letters a-z and digits, and is not `data`"
        )


def check_value(name: str, value: object) -> Value:
    """Return a value that is a Boolean, an Integer or a String; raises Invalid."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not INTEGER_MIN <= value <= INTEGER_MAX:
            raise Invalid(name, "an Integer lies between -2147483648 and 2147483647")
        return value
    if not isinstance(value, str):
        raise Invalid(name, "an attribute is a text, a whole number, true or false")
    check_string(name, value)
    return value


def check_string(name: str, text: str) -> None:
    """Raise Invalid for a character that no String may have."""
    found = _FORBIDDEN.search(text)
    if found is not None:
        raise Invalid(name, f"the character U+{ord(found[0]):04X} is not allowed in a String")


def replaced(text: str, by: str = "\N{REPLACEMENT CHARACTER}") -> str:
    """Return a text of ours as a String: what none may have is replaced."""
    return _FORBIDDEN.sub(by, text)


def check_uri_reference(name: str, text: str) -> None:
    """Raise Invalid unless RFC 3986, section 4.1, takes it."""
    if not _is_uri_reference(text):
        raise Invalid(name, "must be a URI-reference (RFC 3986); percent-encode what it does not allow")


@lru_cache(maxsize=_KNOWN)
def _is_uri_reference(text: str) -> bool:
    return _URI_REFERENCE.fullmatch(text) is not None


def check_absolute_uri(name: str, text: str) -> None:
    """Raise Invalid unless RFC 3986, section 4.3, takes it: with a scheme, without a fragment."""
    if not _ABSOLUTE_URI.fullmatch(text):
        raise Invalid(name, "must be an absolute URI (RFC 3986, 4.3): with a scheme and without a fragment")


def timestamp(name: str, text: str) -> datetime:
    """Return the UTC time of RFC 3339 text, cut to µs, a leap second as the next one; raises Invalid."""
    try:
        return _timestamp(text)
    except (ValueError, OverflowError) as error:
        reason = str(error) if isinstance(error, _NoTime) else "is no day or time of the calendar"
        raise Invalid(name, reason) from None


class _NoTime(ValueError):
    """Text that is no time; the message says why."""


@lru_cache(maxsize=_KNOWN)
def _timestamp(text: str) -> datetime:
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        raise _NoTime("must be a time as RFC 3339 has it, for example 2026-01-31T12:00:00Z")
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    micros = int(((found[7] or "") + "000000")[:6])
    offset = timedelta(hours=int(found[9]), minutes=int(found[10])) if found[8] else timedelta()
    leap = second == 60
    zone = timezone(-offset if found[8] == "-" else offset)
    at = datetime(year, month, day, hour, minute, 59 if leap else second, micros, zone).astimezone(UTC)
    if leap and (at.hour, at.minute) != (23, 59):
        raise _NoTime("a second 60 stands only at the end of a day in UTC")
    return at + timedelta(seconds=1) if leap else at


def media_type(name: str, text: str) -> tuple[str, dict[str, str]]:
    """Return a media type and its parameters, names in lower case; raises Invalid (RFC 2046, 2045)."""
    found = _MEDIA_TYPE.fullmatch(text)
    if found is None:
        raise Invalid(name, "must be a media type (RFC 2046), for example application/json; charset=utf-8")
    parameters = {
        part[1].lower(): part[2] if part[2] is not None else re.sub(r"\\(.)", r"\1", part[3])
        for part in _PARAMETER.finditer(found[2])
    }
    return found[1].lower(), parameters


def canonical(value: Value) -> str:
    """Return a value's canonical string encoding."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
