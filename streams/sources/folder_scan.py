"""Looking at a folder: which paths are there, and what changed since the ledger. Synchronous."""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from streams.sources.ledger import Ledger, Version, version_of
from streams.sources.settled import Settling

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NO_FILE = {errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.ENODEV}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One file's change that nobody has acknowledged yet."""

    path: bytes  # relative to the folder
    kind: str  # created, updated or deleted
    version: Version  # of a deleted file the last one acknowledged


@dataclass(slots=True, kw_only=True)
class Findings:
    """What a look at some paths gave."""

    changes: list[Change] = field(default_factory=list)
    unsettled: list[bytes] = field(default_factory=list)  # still being written: look again
    folders: list[bytes] = field(default_factory=list)  # are folders: walk them
    undecodable: list[bytes] = field(default_factory=list)  # names that are not UTF-8


class FolderScan:
    """Compares a folder with its ledger; never follows a symbolic link."""

    def __init__(self, root: bytes, ignore: Sequence[str], ledger: Ledger, settling: Settling) -> None:
        self._root = root
        self._ignore = tuple(ignore)
        self._ledger = ledger
        self._settling = settling

    def ignored(self, path: bytes) -> bool:
        """Return whether a part of the path has a name that is not reported."""
        parts = os.fsdecode(path).split("/")
        return any(fnmatchcase(part, pattern) for part in parts for pattern in self._ignore)

    def walk(self, start: bytes = b"") -> Iterator[bytes]:
        """Yield files below `start`; what vanishes or may not be read meanwhile is left out."""
        waiting = [start]
        while waiting:
            folder = waiting.pop()
            try:
                entries = list(os.scandir(self._at(folder)))
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                continue
            for entry in entries:
                path = folder + b"/" + entry.name if folder else entry.name
                if self.ignored(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path)
                elif entry.is_file(follow_symlinks=False):
                    yield path

    def missing(self) -> Iterator[bytes]:
        """Yield known paths that are not there any more.

        None when the folder was replaced by an empty one: that is a disk not mounted, not files deleted.
        """
        inode = os.lstat(self._root).st_ino
        if next(self.walk(), None) is None and self._ledger.root_inode() not in {None, inode}:
            return
        self._ledger.set_root_inode(inode)
        for path in self._ledger.paths():
            if not os.path.lexists(self._at(path)):
                yield path

    def look(self, paths: Sequence[bytes]) -> Findings:
        """Return what changed at these paths."""
        found = Findings()
        for path in paths:
            if not self.ignored(path):
                self._look_at(path, found)
        return found

    def _look_at(self, path: bytes, found: Findings) -> None:
        known = self._ledger.known(path)
        fd: int | None = None
        try:
            if self._leads_elsewhere(path):
                self._gone(path, known, found)
                return
            try:
                fd = os.open(self._at(path), _OPEN)
                state = os.fstat(fd)
            except PermissionError:
                state = os.lstat(self._at(path))
            self._judge(path, fd, state, known, found)
        except (FileNotFoundError, NotADirectoryError):
            self._gone(path, known, found)
        except OSError as error:
            # ELOOP is a symbolic link, ENXIO a socket or a pipe without a reader: no files of the folder.
            if error.errno not in _NO_FILE:
                raise
            self._gone(path, known, found)
        finally:
            if fd is not None:
                os.close(fd)

    def _judge(
        self, path: bytes, fd: int | None, state: os.stat_result, known: Version | None, found: Findings
    ) -> None:
        if stat.S_ISDIR(state.st_mode):
            found.folders.append(path)
            return
        if not stat.S_ISREG(state.st_mode):
            self._gone(path, known, found)
            return
        version = version_of(state)
        if version.same_content(known):
            self._settling.forget(path)
            return
        if not _is_utf8(path):
            if not self._ledger.refused(path):
                found.undecodable.append(path)
            return
        whole = self._settling.settled(path, fd, version)
        if whole is None:
            found.unsettled.append(path)
            return
        self._settling.forget(path)
        kind = "created" if known is None else "updated"
        found.changes.append(Change(path=path, kind=kind, version=whole))

    def _gone(self, path: bytes, known: Version | None, found: Findings) -> None:
        self._settling.forget(path)
        if known is not None:
            found.changes.append(Change(path=path, kind="deleted", version=known))

    def _leads_elsewhere(self, path: bytes) -> bool:
        """Whether a folder on the way is a symbolic link."""
        parent = self._at(path).rpartition(b"/")[0]
        return parent != self._root and os.path.realpath(parent) != parent

    def _at(self, path: bytes) -> bytes:
        return self._root + b"/" + path if path else self._root


def _is_utf8(path: bytes) -> bool:
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True
