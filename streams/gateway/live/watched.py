"""Sending to somebody who may leave: sending ends when the other side does."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def while_there(sending: Coroutine[Any, Any, None], gone: Coroutine[Any, Any, None]) -> None:
    """Run `sending` until it ends or `gone` returns; raises what `sending` raises."""
    tasks = [asyncio.create_task(sending), asyncio.create_task(gone)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
