"""How an answer of the broker reaches who waits for it: a batch of outcomes, and event loops woken seldom."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from streams.errors import EnsueError
from streams.kafka.record import Delivery

Outcome = Delivery | EnsueError


class Batch:
    """The outcomes of records written together, by their place in the batch; `on_done` is called once."""

    __slots__ = ("_left", "_on_done", "outcomes")

    def __init__(self, size: int, on_done: Callable[[list[Outcome]], None], pending: Outcome) -> None:
        self.outcomes: list[Outcome] = [pending] * size
        self._left = size
        self._on_done = on_done

    def put(self, index: int, outcome: Outcome) -> None:
        """Note one outcome; the last one hands all of them on."""
        self.outcomes[index] = outcome
        self._left -= 1
        if self._left == 0:
            self._on_done(self.outcomes)


class LoopWaker:
    """Resolves asyncio futures from the poll thread with one wake-up a loop and poll, not one a record.

    `later` collects, `flush` hands over; both only from the poll thread.
    """

    def __init__(self) -> None:
        self._waiting: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}

    def later(self, loop: asyncio.AbstractEventLoop, future: "asyncio.Future[Any]", value: Any) -> None:
        """Resolve the future with the value (or the exception) at the next flush."""
        self._waiting.setdefault(loop, []).append((future, value))

    def flush(self) -> None:
        """Hand everything collected to its loop; a loop that is closed has nobody left who waits."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, {}
        for loop, resolved in waiting.items():
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_resolve, resolved)


def _resolve(resolved: "list[tuple[asyncio.Future[Any], Any]]") -> None:
    for future, value in resolved:
        if future.done():  # its task was cancelled meanwhile
            continue
        if isinstance(value, BaseException):
            future.set_exception(value)
        else:
            future.set_result(value)
