"""A time limit on synchronous code, by the process's timer signal."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from flows.errors import TaskTimedOut


class _Expired(BaseException):
    """Not an Exception: the user's `except Exception` must not swallow it."""


@contextmanager
def deadline(seconds: float | None, what: str) -> Iterator[None]:
    """Raise TaskTimedOut when the block takes longer than `seconds`.

    It works where the code runs in the process's main thread, as flows do. In a thread of the user's own
    there is no such signal; there the run's timeout is the bound, as it is for C code that does not return.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    mine = _Expired()
    armed = True

    def expire(_number: int, _frame: FrameType | None) -> None:
        if armed:
            raise mine

    handler_before = signal.signal(signal.SIGALRM, expire)
    started_s = time.monotonic()
    left_before_s, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        try:
            yield
        finally:
            armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, handler_before)
            if left_before_s > 0:  # an outer limit goes on
                left_s = left_before_s - (time.monotonic() - started_s)
                signal.setitimer(signal.ITIMER_REAL, max(left_s, 0.001))
    except _Expired as expired:
        if expired is not mine:
            raise
        raise TaskTimedOut(f"{what} took longer than {seconds:g} s and was stopped") from None
