"""The quick JSON check agrees with a slow exact parser on every text, friendly or not."""

import json
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams.strict_json import NUMBER_CHARS_MAX, JsonRefused, depth, dumps, loads

pytestmark = pytest.mark.property
DEPTH_MAX = 8

keys = st.sampled_from(["a", "b", ":", '"', "\\", "é", "a:b", "\U0001f600", "\x00", ""]) | st.text(max_size=4)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**24), 10**24)
    | st.floats(allow_nan=False, allow_infinity=False)
    | keys
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


class Refused(Exception):
    """The oracle says no."""


def oracle(text: str, value_depth: int) -> Any:
    """Parse with nothing but the standard library, every rule spelt out."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in found}) != len(found):
            raise Refused
        return dict(found)

    def number(kind: type) -> Any:
        def parse(digits: str) -> Any:
            if len(digits) > NUMBER_CHARS_MAX or not math.isfinite(kind(digits)):
                raise Refused
            return kind(digits)

        return parse

    def constant(_: str) -> Any:
        raise Refused

    try:
        value = json.loads(
            text,
            object_pairs_hook=pairs,
            parse_int=number(int),
            parse_float=number(float),
            parse_constant=constant,
        )
        json.dumps(value, ensure_ascii=False).encode()  # lone surrogates
    except ValueError:
        raise Refused from None
    if value_depth > DEPTH_MAX:
        raise Refused
    return value


def agree(raw: bytes) -> None:
    """Both parsers say the same."""
    try:
        text = raw.decode()
        expected = oracle(text, _depth(text))
    except (UnicodeDecodeError, Refused):
        with pytest.raises(JsonRefused):
            loads(raw, depth_max=DEPTH_MAX)
    else:
        got = loads(raw, depth_max=DEPTH_MAX)
        assert repr(got) == repr(expected)
        assert repr(json.loads(dumps(got))) == repr(expected)


def _depth(text: str) -> int:
    """Count brackets outside of strings."""
    deepest = now = 0
    inside = escaped = False
    for char in text:
        if inside:
            inside = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            inside, escaped = True, False
        elif char in "[{":
            now += 1
            deepest = max(deepest, now)
        elif char in "]}":
            now -= 1
    return deepest


@given(values, st.booleans(), st.sampled_from([None, 1]))
def test_written_json_is_read_alike(value: Any, ascii_only: bool, indent: int | None) -> None:
    """Any value, written with or without escapes and blanks, is read as the exact parser reads it."""
    agree(json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode())


STRUCTURE = [b"{", b"}", b"[", b"]", b":", b",", b" ", b"\n", b"null", b"NaN"]
STRINGS = [
    b'"',
    b'"a"',
    b'"a":1',
    b'"a":',
    b'{"a":1,"a":2}',
    b'"\\":"',
    b'":\\u003A"',
    b"\\",
    b"\xff",
    b"\xc3\xa9",
]
ESCAPES = [b"\\u003a", b'"\\u0022"', b'"\\u0061":3', b'"\\ud800"', b'"\\ud83d\\ude00"']
NUMBERS = [b"1", b"-", b"0", b"1e5", b"1e400", b"9" * 19, b"9" * 65, b"0." + b"1" * 70]
pieces = st.sampled_from([*STRUCTURE, *STRINGS, *ESCAPES, *NUMBERS])


@settings(max_examples=1500)
@given(st.lists(pieces, max_size=14).map(b"".join))
@example(b'{"a":":","a":"\\u003a"}')
@example(b'{"a":1,"a":"\\u003a"}')
@example(b'{"a":"\\u003a","\\u0061":1}')
@example(b'[{"x:":1,"x:":"::"},"\\\\u003a"]')
@example(b'{"k":123456789012345678901234567890}')
@example(b"-9223372036854775809")
@example(b"1" * 64)
@example(b"[" * 9 + b"]" * 9)
@example(b'["' + b"[" * 50 + b'"]')
def test_hostile_texts_are_judged_alike(raw: bytes) -> None:
    """Texts put together from the pieces that fool parsers are accepted or refused alike."""
    agree(raw)


@settings(max_examples=1000)
@given(st.lists(st.tuples(keys, scalars), min_size=1, max_size=5), st.booleans(), st.booleans())
def test_a_repeated_key_is_always_seen(pairs: list[tuple[str, Any]], ascii_only: bool, nested: bool) -> None:
    """An object with repeated keys is refused whatever escapes hide them, at any place."""
    inner = ",".join(
        f"{json.dumps(key, ensure_ascii=ascii_only)}:{json.dumps(value, ensure_ascii=not ascii_only)}"
        for key, value in [*pairs, pairs[0]]
    )
    with pytest.raises(JsonRefused, match="twice"):
        loads((f'{{"o":[{{{inner}}}]}}' if nested else f"{{{inner}}}").encode(), depth_max=DEPTH_MAX)


def test_depth_of_ten_thousand_costs_no_recursion() -> None:
    """Depth is counted without recursion, and deep text is refused before anything walks it."""
    value: Any = []
    for _ in range(10_000):
        value = [value]
    assert depth(value) == 10_001
    with pytest.raises(JsonRefused):
        loads(b"[" * 10_000 + b"]" * 10_000, depth_max=512)
