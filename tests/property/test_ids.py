"""Derived and fresh ids."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.identity import derived_id, id_time_ms
from schemas.new_id import new_id

pytestmark = pytest.mark.property

part = st.none() | st.integers() | st.text(max_size=20)
parts = st.lists(part, max_size=5)
ms = st.integers(0, (1 << 48) - 1)


@given(parts, ms)
def test_derived_ids_are_canonical_uuid8(names: list[str | int | None], at: int) -> None:
    """A derived id is 36 characters of canonical UUID text, version 8, with the given time in front."""
    text = derived_id(*names, ms=at)
    assert str(UUID(text)) == text
    assert UUID(text).version == 8
    assert UUID(text).variant == "specified in RFC 4122"
    assert id_time_ms(text) == (at or None)
    assert derived_id(*names, ms=at) == text


@given(parts, parts)
def test_different_names_give_different_ids(a: list[str | int | None], b: list[str | int | None]) -> None:
    """Equal ids mean equal parts: numbers, texts and None are told apart, and so are their borders."""
    assert (derived_id(*a) == derived_id(*b)) == (a == b)


@given(st.text(), st.text())
def test_joined_parts_differ_from_the_whole(a: str, b: str) -> None:
    """Parts do not run into one another."""
    assert derived_id(a, b) != derived_id(a + b)
    assert derived_id(a, b) != derived_id(a + "\x1f" + b)


@given(st.integers(max_value=-1) | st.integers(min_value=1 << 48))
def test_impossible_times_count_as_none(at: int) -> None:
    """A time that does not fit leaves the first 48 bits zero."""
    assert id_time_ms(derived_id("x", ms=at)) is None


@given(ms)
def test_new_ids_are_canonical_uuid7(at: int) -> None:
    """A fresh id is canonical UUIDv7 text that carries its time."""
    text = new_id(at)
    assert str(UUID(text)) == text
    assert UUID(text).version == 7
    assert id_time_ms(text) == (at or None)


def test_new_ids_do_not_repeat() -> None:
    """Ten thousand ids of one millisecond are all different."""
    assert len({new_id(1) for _ in range(10_000)}) == 10_000
