"""Runs one statement on the engine: the writer's as they are, everybody else's through the guard."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from streams.errors import Overload
from streams.store import sql_files
from streams.store.engine import Answer, Engine, EngineError, Handle, with_settings
from streams.store.guard import NORMAL, Refused, permit
from streams.store.http_request import READONLY, StatementRequest, as_insert
from streams.store.migrate import migrate
from streams.store.running import Leases, Running, kill_prefix

READERS_WAITING_MAX = 64
_UNKNOWN_DATABASE = 81
# Sent by clients that cannot know that readers' settings are fixed; harmless to leave out.
_IGNORED_SETTINGS = frozenset(
    {"wait_end_of_query", "output_format_json_quote_64bit_integers", "max_result_rows"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer with the format it is in."""

    answer: Answer
    output_format: str | None


class HandleParser:
    """The parser of the engine in this process."""

    def __init__(self, handle: Handle, parameters: Mapping[str, str]) -> None:
        self._handle = handle
        self._parameters = parameters

    def normal(self, sql: str) -> str | None:
        """Return the normal text, None when `sql` is not one statement."""
        text = self._handle.query(NORMAL, "TSVRaw", {"q": _escaped(sql)}).data.decode().removesuffix("\n")
        return None if text == "\\N" else text

    def tree(self, sql: str) -> str:
        """Return EXPLAIN AST."""
        return self._handle.query(f"EXPLAIN AST {sql}", "TSVRaw", self._parameters).data.decode()


class Statements:
    """All ways into the engine. Methods block; call them off the event loop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._running = Running()
        self._leases = Leases()
        self._waiting = threading.Semaphore(READERS_WAITING_MAX)
        with engine.writer() as handle:
            migrate(lambda sql, values: handle.query(sql, "TSV", values).data.decode())
            self._leases.load(handle)
            names = handle.query(sql_files.query_text("function_names"), "TSVRaw").data.decode()
            self._functions = frozenset(names.split())

    def run(self, request: StatementRequest, database: str) -> Reply:
        """Run a request; raises EngineError, Refused or Overload."""
        if database not in {"", "default", self._engine.database}:
            raise EngineError(
                f"Code: 81. Database {database[:64]} does not exist; this store has {self._engine.database}. "
                "(UNKNOWN_DATABASE)",
                code=_UNKNOWN_DATABASE,
            )
        return self._write(request) if request.writer else self._read(request)

    def _write(self, request: StatementRequest) -> Reply:
        insert = as_insert(request.text)
        prefix = None if insert else kill_prefix(request.text.decode())
        if prefix is not None:
            rows = self._running.kill(prefix)
            lines = "".join(f"{status}\t{query_id}\n" for status, query_id in rows)
            return Reply(answer=Answer(data=lines.encode()), output_format="TabSeparated")
        with self._running.waiting(request.query_id) as ticket, self._engine.writer() as handle:
            self._running.start(ticket)
            self._leases.check(request.query_id)
            if insert is not None:
                statement = with_settings(insert.statement, request.settings)
                answer = handle.insert(statement, insert.data_format, insert.data)
                return Reply(answer=answer, output_format=None)
            with handle.settings(request.settings):
                return self._write_text(handle, request)

    def _write_text(self, handle: Handle, request: StatementRequest) -> Reply:
        text = request.text.decode()
        output_format = _trailing_format(text) or request.default_format
        answer = handle.query(text, output_format, request.parameters)
        if "sink_leases" in text:
            self._leases.load(handle)
        return Reply(answer=answer, output_format=output_format)

    def _read(self, request: StatementRequest) -> Reply:
        changed = sorted(set(request.settings) - _IGNORED_SETTINGS)
        if changed:
            raise EngineError(
                f"Code: 164. Readers cannot change settings ({', '.join(changed)[:200]}). (READONLY)",
                code=READONLY,
            )
        try:
            text = request.text.decode()
        except UnicodeDecodeError as error:
            raise Refused(f"The statement is not UTF-8: {error}.", code=62) from error
        if not self._waiting.acquire(blocking=False):
            raise Overload(
                f"{READERS_WAITING_MAX} statements wait for a reader already; try again in a moment."
            )
        try:
            with self._engine.reader() as handle:
                return self._guarded(handle, text, request)
        finally:
            self._waiting.release()

    def _guarded(self, handle: Handle, text: str, request: StatementRequest) -> Reply:
        parser = HandleParser(handle, request.parameters)
        permitted = permit(text, self._engine.database, parser, self._functions)
        output_format = permitted.output_format or request.default_format
        answer = handle.query(permitted.sql, output_format, request.parameters)
        return Reply(answer=answer, output_format=output_format)


def _trailing_format(text: str) -> str | None:
    words = text.rstrip().rstrip(";").split()
    return words[-1] if len(words) > 2 and words[-2].upper() == "FORMAT" else None


def _escaped(text: str) -> str:
    """Return `text` as the value of a String parameter: the engine reads values in TSV's escapes."""
    text = text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
    return text.replace("\r", "\\r").replace("\0", "\\0")
