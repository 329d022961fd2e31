"""Opening a reading off the event loop, so that it is closed even when nobody waits for it any more."""

import asyncio
from concurrent.futures import Executor

from streams.gateway.live.position import Positions
from streams.gateway.live.reading import LiveLog, Reading


async def open_reading(log: LiveLog, start: Positions | None, threads: Executor | None = None) -> Reading:
    """Return what `log.read` returns, and raise what it raises."""
    loop = asyncio.get_running_loop()
    opening = loop.run_in_executor(threads, log.read, start)
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise


def _close(opening: "asyncio.Future[Reading]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.get_loop().run_in_executor(None, opening.result().close)
