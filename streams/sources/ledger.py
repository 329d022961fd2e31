"""What of a folder has been acknowledged: the memory that makes a restart lose and repeat nothing."""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

_SCHEMA = """
CREATE TABLE IF NOT EXISTS file (
    path BLOB PRIMARY KEY, inode INTEGER, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused (path BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS root (only INTEGER PRIMARY KEY CHECK (only = 1), inode INTEGER);
"""
_INODE_MASK = (1 << 63) - 1  # SQLite's integers are signed


class Version(NamedTuple):
    """One state of a file."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    def same_content(self, other: "Version | None") -> bool:
        """Whether nothing was written between the two; a changed mode or owner is no news."""
        return other is not None and self[:3] == other[:3]


class Ledger:
    """A SQLite file; used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10.0)
        # A process that is killed loses nothing this way; a machine that loses power may repeat the last
        # events, with the same ids.
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)

    def known(self, path: bytes) -> Version | None:
        """Return the acknowledged version of a path relative to the folder."""
        row = self._db.execute(
            "SELECT inode, size, mtime_ns, ctime_ns FROM file WHERE path = ?", (path,)
        ).fetchone()
        return Version(*row) if row else None

    def paths(self) -> Iterator[bytes]:
        """Yield every path that has an acknowledged version."""
        for (path,) in self._db.execute("SELECT path FROM file ORDER BY path"):
            yield path

    def acknowledge(self, changes: Iterable[tuple[bytes, Version | None]]) -> None:
        """Note acknowledged versions together; None: the file is gone."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for path, version in changes:
                if version is None:
                    self._db.execute("DELETE FROM file WHERE path = ?", (path,))
                else:
                    self._db.execute("INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?)", (path, *version))
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def refused(self, path: bytes) -> bool:
        """Return whether this name is in the dead letters already."""
        return self._db.execute("SELECT 1 FROM refused WHERE path = ?", (path,)).fetchone() is not None

    def refuse(self, path: bytes) -> None:
        """Note that this name is in the dead letters."""
        self._db.execute("INSERT OR IGNORE INTO refused VALUES (?)", (path,))

    def root_inode(self) -> int | None:
        """Return the folder's own inode when it was last seen with files in it."""
        row = self._db.execute("SELECT inode FROM root").fetchone()
        return int(row[0]) if row else None

    def set_root_inode(self, inode: int) -> None:
        """Remember the folder's own inode."""
        self._db.execute("INSERT OR REPLACE INTO root VALUES (1, ?)", (inode & _INODE_MASK,))

    def close(self) -> None:
        """Release the file."""
        self._db.close()


def version_of(state: os.stat_result) -> Version:
    """Return a file's version in numbers that SQLite can hold."""
    return Version(state.st_ino & _INODE_MASK, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
