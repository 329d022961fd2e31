"""Rows of a long body: others run between its slices, and what is refused is named."""

import asyncio
from typing import Any

import pytest

from streams.gateway.item import ItemRefused
from streams.gateway.parse import ERRORS_NAMED_MAX, batch_of
from streams.gateway.ports import Row
from streams.gateway.problem import Problem

pytestmark = pytest.mark.unit


async def test_others_run_between_slices() -> None:
    """A body of 1,000 items in slices of 100 gives the loop to others ten times."""
    turns: list[int] = []
    done = 0

    async def others() -> None:
        while True:
            turns.append(done)
            await asyncio.sleep(0)

    def row(at: int, _item: Any) -> tuple[str, Row]:
        nonlocal done
        done = at + 1
        return str(at), (0, b"", b"")

    beside = asyncio.create_task(others())
    batch = await batch_of(range(1_000), row, slice_events=100)
    beside.cancel()
    assert turns == [100 * number for number in range(1, 11)]
    assert batch.ids == [str(number) for number in range(1_000)]


async def test_the_first_refused_items_are_named() -> None:
    """The status is the first one's; after 20 nothing more is read."""
    seen: list[int] = []

    def row(at: int, _item: Any) -> tuple[str, Row]:
        seen.append(at)
        raise ItemRefused("payload", "is too large", status=413 if at == 0 else 422)

    with pytest.raises(Problem) as caught:
        await batch_of(range(100), row, slice_events=10)
    assert (caught.value.status, len(caught.value.errors)) == (413, ERRORS_NAMED_MAX)
    assert len(seen) == ERRORS_NAMED_MAX
