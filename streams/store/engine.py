"""ClickHouse in this process (chDB): one handle that writes, a few that only read.

Handles are not for two threads at a time: the writer's is behind a lock, readers' are handed out one by one.
"""

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from streams.errors import BadInput, EnsueError, Overload
from streams.store.folder import lock_folder, write_config

READERS_MAX = 2
WAIT_FOR_READER_S = 10.0
_DRAINS_MAX = 5
_CODE = re.compile(r"Code: (\d+)")
# What a reader's statement may cost at most; layer 2 of the guard, not to be changed under readonly=1.
READER_LIMITS: Mapping[str, str] = {
    "max_threads": "1",
    "max_execution_time": "10",
    "timeout_overflow_mode": "throw",
    "max_rows_to_read": "500000000",
    "max_memory_usage": "1000000000",
    "max_bytes_before_external_group_by": "300000000",
    "max_bytes_before_external_sort": "300000000",
    "max_result_rows": "100000",
    "max_result_bytes": "67108864",
    "result_overflow_mode": "throw",
    "max_query_size": "262144",
    "max_ast_depth": "300",
    "max_ast_elements": "5000",
    "max_expanded_ast_elements": "50000",
    "max_subquery_depth": "30",
    "max_columns_to_read": "500",
    "max_temporary_columns": "1000",
    "max_rows_in_join": "20000000",
    "max_bytes_in_join": "500000000",
    "max_rows_in_set": "20000000",
    "max_parser_depth": "300",
    "allow_introspection_functions": "0",
    "use_query_cache": "0",
}


class EngineError(EnsueError):
    """ClickHouse refused a statement; `code` is its number, 1002 when it gave none."""

    def __init__(self, message: str, *, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A statement's result with what it cost."""

    data: bytes
    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    elapsed_ns: int = 0


class Engine:
    """The open folder. Every method may block and may be called from any thread."""

    def __init__(self, folder: Path, database: str, *, readers: int = READERS_MAX) -> None:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", database):
            raise BadInput(f"{database!r} is no database name; use letters, digits and underscores.")
        import chdb

        self._lock_file = lock_folder(folder)
        self._target = f"{(folder / 'chdb').resolve()}?config-file={write_config(folder, database).resolve()}"
        self._connect = chdb.connect
        self.database = database
        self._writer = self._open()
        self._writing = threading.RLock()
        self._writer.query(f"CREATE DATABASE IF NOT EXISTS {database}")
        self._writer.query(f"USE {database}")
        # A batch is on disk when the insert returns; the server default would queue it.
        self._writer.query("SET async_insert=0")
        self._readers: Queue[Any] = Queue(maxsize=readers)
        for _ in range(readers):
            self._readers.put(self._open_reader())

    def close(self) -> None:
        """Close all handles; waits for what runs."""
        with self._writing:
            self._writer.close()
        with suppress(Empty):  # one that still runs ends with the process
            for _ in range(self._readers.maxsize):
                self._readers.get(timeout=WAIT_FOR_READER_S).close()
        self._lock_file.close()

    @contextmanager
    def writer(self) -> Iterator["Handle"]:
        """Give the writing handle to one caller at a time."""
        with self._writing:
            yield Handle(self._writer)

    @contextmanager
    def reader(self) -> Iterator["Handle"]:
        """Give a read-only handle with its limits; raises Overload when all are busy for long."""
        try:
            raw = self._readers.get(timeout=WAIT_FOR_READER_S)
        except Empty:
            raise Overload(
                f"All {self._readers.maxsize} readers of the store are busy; try again in a moment.",
                retry_after_s=2.0,
            ) from None
        try:
            yield Handle(raw)
        finally:
            self._readers.put(raw)

    def _open(self) -> Any:
        try:
            return self._connect(self._target)
        except Exception as error:
            raise BadInput(
                f"The store's folder could not be opened ({error}); its own words are above on stderr. "
                "If another program holds it, stop that one; else see `ensue doctor`."
            ) from error

    def _open_reader(self) -> Any:
        handle = self._open()
        handle.query(f"USE {self.database}")
        for name, value in READER_LIMITS.items():
            handle.query(f"SET {name}='{value}'")
        handle.query("SET readonly=1")
        return handle


class Handle:
    """One borrowed chDB connection."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def query(
        self, sql: str, fmt: str = "TabSeparated", parameters: Mapping[str, str] | None = None
    ) -> Answer:
        """Run one statement; raises EngineError."""
        try:
            result = self._raw.query(sql, fmt, params=dict(parameters) if parameters else None)
        except Exception as error:
            self._drain()
            raise _engine_error(error) from error
        return Answer(
            data=result.bytes() or b"",
            read_rows=result.rows_read(),
            read_bytes=result.bytes_read(),
            elapsed_ns=int(result.elapsed() * 1e9),
        )

    def insert(self, statement: str, fmt: str, data: bytes) -> Answer:
        """Run `INSERT INTO … ` (without FORMAT) with `data`; raises EngineError, then nothing of it is in."""
        try:
            with self._raw.send_insert(statement, fmt) as inserter:
                if data:
                    inserter.append(data)
                result = inserter.finish()
        except Exception as error:
            self._drain()
            raise _engine_error(error) from error
        return Answer(
            data=b"",
            written_rows=result.rows_written,
            written_bytes=result.bytes_written,
            elapsed_ns=int(result.elapsed * 1e9),
        )

    def _drain(self) -> None:
        """Throw away what a statement that failed half-way has left behind.

        chDB 4.4 hands the part already written to whoever asks next on the same handle.
        """
        for _ in range(_DRAINS_MAX):
            if self._raw.query("SELECT 1", "TSVRaw").bytes() == b"1\n":
                return
        raise EngineError(
            "Code: 1002. The store's connection does not recover from an error; restart the store.", code=1002
        )

    @contextmanager
    def settings(self, settings: Mapping[str, str]) -> Iterator[None]:
        """Set `settings` for the block and put the former values back."""
        former: dict[str, str] = {}
        try:
            for name, value in settings.items():
                before = self.query(
                    "SELECT value FROM system.settings WHERE name = {name:String}", "TSVRaw", {"name": name}
                )
                former[name] = before.data.decode().rstrip("\n")
                self.query(f"SET {name}={_quoted(value)}")
            yield
        finally:
            for name, value in former.items():
                self.query(f"SET {name}={_quoted(value)}")


def with_settings(statement: str, settings: Mapping[str, str]) -> str:
    """Return an INSERT with its settings in it: setting and putting back takes three statements each."""
    if not settings:
        return statement
    return f"{statement} SETTINGS {', '.join(f'{name}={_quoted(value)}' for name, value in settings.items())}"


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _engine_error(error: Exception) -> EngineError:
    text = str(error)
    found = _CODE.search(text)
    return EngineError(text, code=int(found[1]) if found else 1002)
