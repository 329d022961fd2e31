"""What a value is not: the one error of typed payloads, with its place."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_SHOWN_CHARS_MAX = 60
_SHOWN_BITS_MAX = 1024


class Misfit(ValueError):
    """A value is not what its type says; `path` is where below the value that was asked about."""

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path

    def below(self, part: str) -> "Misfit":
        """Return the same misfit as its container sees it; `part` is a key, or `[3]` of an array."""
        dot = "." if self.path and not self.path.startswith("[") else ""
        return Misfit(self.reason, f"{part}{dot}{self.path}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """A type without parts.

    Attributes:
        read: JSON → Python value; raises Misfit.
        write: Python value → JSON; raises Misfit.

    """

    read: Callable[[Any], Any]
    write: Callable[[Any], Any]


def shown(value: Any) -> str:
    """Return a value for a sentence, cut short."""
    if isinstance(value, dict | list):
        return type(value).__name__
    if isinstance(value, int) and value.bit_length() > _SHOWN_BITS_MAX:
        return f"of {value.bit_length()} bits"  # Python refuses to write the longest ones
    text = repr(value[: 2 * _SHOWN_CHARS_MAX] if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN_CHARS_MAX else f"{text[:_SHOWN_CHARS_MAX]}…"


def text_of(value: Any, what: str = "a text") -> str:
    """Return the text that `value` is; raises Misfit."""
    if type(value) is not str:
        raise Misfit(f"must be {what}, not {json_word(value)}")
    return value


def json_word(value: Any) -> str:
    """Return what a JSON value is, in words."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {shown(value)}"
        case str():
            return f"the text {shown(value)}"
        case dict():
            return "an object"
        case list():
            return "an array"
    return shown(value)
