"""JSON as RFC 8259 means it, and no more: what two parsers could read differently is refused.

orjson already refuses invalid UTF-8, NaN, infinite numbers, lone surrogates and control characters. What it
lets through (repeated keys, integers beyond 64 bit rounded to floats, 1,024 levels) is checked here at a
fraction of the parse's cost; only when a cheap check cannot tell, the slow exact parser decides.
"""

import json
import math
from itertools import chain
from typing import Any

import orjson

NUMBER_CHARS_MAX = 64
CONTAINERS_MAX = 1_000_000  # 8 MiB of `[],` would be 2.8 million objects here, for a second and a half
_ORJSON_DUMPS_DEPTH_MAX = 200  # orjson writes 254 levels at most
_DIGITS_EXACT_MAX = 18  # every integer of 18 digits fits 64 bits
_ONLY_DIGITS = bytes(0x30 if 0x30 <= c <= 0x39 else 0x20 for c in range(256))
_LONG_RUN = b"0" * (_DIGITS_EXACT_MAX + 1)


class JsonRefused(ValueError):
    """Text that is not JSON as we take it; the message is fit for the sender."""


def loads(raw: bytes, *, depth_max: int) -> Any:
    """Return the value of `raw`, at most `depth_max` containers deep; raises JsonRefused."""
    containers = raw.count(b"{") + raw.count(b"[")
    if containers > CONTAINERS_MAX:
        raise JsonRefused(f"more than {CONTAINERS_MAX} objects and arrays")
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise JsonRefused(_reason(raw, error)) from None
    deep = containers > depth_max and depth(value) > depth_max
    if deep:
        raise JsonRefused(f"nested deeper than {depth_max} levels")
    if (
        # An escape may hide a colon (\u003a), so counting colons proves nothing then.
        b"\\u003" in raw
        or _LONG_RUN in raw.translate(_ONLY_DIGITS)
        or (depth_max > _ORJSON_DUMPS_DEPTH_MAX and containers > _ORJSON_DUMPS_DEPTH_MAX)
    ):
        return _loads_slowly(raw)
    # Every pair has its colon; a repeated key loses its pair, hence at least one colon, on the way out.
    if raw.count(b":") != orjson.dumps(value).count(b":"):
        return _loads_slowly(raw)
    return value


def dumps(value: Any) -> bytes:
    """Return compact JSON text of a value of `loads`, integers of any size included."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def depth(value: Any) -> int:
    """Return how many containers deep `value` is, level by level: without recursion, a million in 0.1 s."""
    level = [value]
    deepest = 0
    while level := [held for held in level if type(held) is list or type(held) is dict]:
        deepest += 1
        level = list(chain.from_iterable(held.values() if type(held) is dict else held for held in level))
    return deepest


def _loads_slowly(raw: bytes) -> Any:
    """Parse text that orjson accepts and whose depth is known to be small."""
    return json.loads(
        raw.decode(),
        object_pairs_hook=_unique,
        parse_int=_whole,
        parse_float=_finite,
        parse_constant=_constant,
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise JsonRefused(f"the key {twice[:100]!r} stands twice in one object")
    return found


def _whole(text: str) -> int:
    if len(text) > NUMBER_CHARS_MAX:
        raise JsonRefused(f"a number has {len(text)} characters, {NUMBER_CHARS_MAX} are the most")
    return int(text)


def _finite(text: str) -> float:
    if len(text) > NUMBER_CHARS_MAX:
        raise JsonRefused(f"a number has {len(text)} characters, {NUMBER_CHARS_MAX} are the most")
    number = float(text)
    if not math.isfinite(number):
        raise JsonRefused(f"the number {text} is not finite")
    return number


def _constant(text: str) -> float:
    raise JsonRefused(f"{text} is not JSON")


def _reason(raw: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        raw.decode()
    except UnicodeDecodeError as invalid:
        return f"not valid UTF-8 at byte {invalid.start}"
    return f"not valid JSON: {error.msg}"
