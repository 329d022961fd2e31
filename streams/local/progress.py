"""How a download tells its progress: a bar on a terminal, plain lines everywhere else."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

_MIB = 1 << 20
_LINE_EVERY = 0.25


@contextmanager
def download_progress(title: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
    """Yield a thread-safe function that takes the bytes that arrived since its last call."""
    if sys.stderr.isatty():
        with _bar(title, total_bytes) as advance:
            yield advance
    else:
        yield _lines(title, total_bytes)


@contextmanager
def _bar(title: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total_bytes)
        yield lambda arrived: progress.advance(task, arrived)


def _lines(title: str, total_bytes: int) -> Callable[[int], None]:
    done_bytes = 0
    next_line = 0.0
    lock = Lock()

    def advance(arrived: int) -> None:
        nonlocal done_bytes, next_line
        with lock:
            done_bytes += arrived
            share = done_bytes / total_bytes if total_bytes else 1.0
            if share >= next_line:
                next_line = (share // _LINE_EVERY + 1) * _LINE_EVERY
                text = f"{title}: {done_bytes / _MIB:.0f} of {total_bytes / _MIB:.0f} MiB"
                sys.stderr.write(text + "\n")
                sys.stderr.flush()

    return advance
