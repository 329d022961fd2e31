"""How our HTTP processes end: on SIGTERM or Ctrl-C, in order, with exit code 0."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn


class QuietServer(uvicorn.Server):
    """Leaves signals to us: uvicorn raises them again at its end, which a supervisor takes for a crash."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle none."""
        yield


@contextmanager
def ended_by_signals(ended: asyncio.Event) -> Iterator[None]:
    """Set `ended` on SIGTERM and SIGINT within the block."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def end_when(ended: asyncio.Event, server: uvicorn.Server) -> None:
    """Let the server answer what is in flight and stop, once `ended` is set."""
    await ended.wait()
    server.should_exit = True
