"""Whether a file is written to its end: exactly where the kernel says so, else by a time of quiet."""

import contextlib
import errno
import fcntl
import os
import signal
import sys
import time

from streams.sources.ledger import Version, version_of

_FRESH_NS = 10_000_000  # two writes within one tick of the file system's clock would look like one
_QUIET_FILES_MAX = 100_000


class NoLeases(Exception):
    """Neither system, file system nor owner knows leases; only time can tell."""


def version_unless_written(fd: int) -> Version | None:
    """Return the state of an open file, or None while anybody has it open for writing (Linux).

    The state is taken while we hold a read lease, so no writer is half-way through it. Raises NoLeases.
    """
    if sys.platform != "linux":
        raise NoLeases
    try:
        # Whoever opens the file for writing while we hold the lease makes the kernel signal us; the default
        # signal, SIGIO, ends a process, SIGURG is ignored.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            return None
        raise NoLeases from None
    try:
        return version_of(os.fstat(fd))
    finally:
        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)


class Settling:
    """Judges files that changed; remembers since when the ones without leases are quiet."""

    def __init__(self, settle_ms: int) -> None:
        self._settle_ns = settle_ms * 1_000_000
        self._quiet: dict[bytes, tuple[Version, int]] = {}

    def settled(self, path: bytes, fd: int | None, version: Version) -> Version | None:
        """Return the version that its writer meant to leave, or None: ask again later."""
        try:
            whole = None if fd is None else version_unless_written(fd)
        except NoLeases:
            fd = whole = None
        if fd is None:
            return version if self._is_quiet(path, version) else None
        if whole is None or 0 <= time.time_ns() - whole.mtime_ns < _FRESH_NS:
            return None
        return whole

    def forget(self, path: bytes) -> None:
        """The file was reported or is gone."""
        self._quiet.pop(path, None)

    def _is_quiet(self, path: bytes, version: Version) -> bool:
        now_ns = time.monotonic_ns()
        before = self._quiet.get(path)
        if before is None or before[0] != version:
            if len(self._quiet) < _QUIET_FILES_MAX or before is not None:
                self._quiet[path] = (version, now_ns)
            return False
        return now_ns - before[1] >= self._settle_ns
