"""A folder has one owner: an advisory lock that the kernel drops when its holder dies."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.errors import BadInput


class FolderLock:
    """Holds `<folder>/<name>.lock` for as long as this process lives or until `release`.

    The kernel owns the lock, so kill -9 leaves nothing behind; the file stays and holds the pid of the last
    holder for the error message only.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"{name}.lock"
        self._name = name
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._fd is not None

    def acquire(self) -> None:
        """Take the lock or raise BadInput naming the process that has it."""
        if self._fd is not None:
            raise BadInput(f"this process already holds {self.path}")
        fd = self._open()
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            raise BadInput(
                f"the folder {self.path.parent} is in use by another {self._name} (process {holder}). "
                f"Stop that one first (`ensue down`), or choose another folder with --data"
            ) from None
        self._keep(fd)

    def acquire_waiting(self) -> None:
        """Take the lock, waiting for as long as another process has it."""
        fd = self._open()
        fcntl.flock(fd, fcntl.LOCK_EX)
        self._keep(fd)

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Not inheritable (PEP 446): a child must not keep the lock of a dead parent.
        return os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)

    def _keep(self, fd: int) -> None:
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        self._fd = fd

    def __enter__(self) -> Self:
        if not self.held:
            self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
