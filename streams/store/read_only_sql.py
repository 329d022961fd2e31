"""`POST /sql`: a stranger's SELECT through the guard, on whichever store is configured."""

import re
from collections.abc import Mapping
from typing import Any

from clickhouse_connect.driver.client import Client

from streams.errors import BadInput
from streams.store import sql_files
from streams.store.connect import translated
from streams.store.engine import READER_LIMITS
from streams.store.guard import NORMAL, TEXT_CHARS_MAX, Refused, permit
from streams.store.queries.reader import StoreReader

FORMAT_DEFAULT = "JSON"
_BOUND = re.compile(r"\{\w+:")
_FORMAT_NAME = re.compile(r"[A-Za-z0-9]+")


class ReadOnlySql:
    """Runs statements as the reading user. Blocks; threads may share it.

    Our own store guards by itself. A ClickHouse server is given the same limits and `readonly=1` with each
    statement, and its parser is asked first; there the reading user's grants are layer 1 (docs/how-to).
    """

    def __init__(self, store: StoreReader) -> None:
        self._store = store
        self._own: bool | None = None
        self._functions: frozenset[str] = frozenset()

    def run(
        self, sql: str, output_format: str = FORMAT_DEFAULT, parameters: Mapping[str, Any] | None = None
    ) -> bytes:
        """Return the result in `output_format`, or in the format that `sql` names.

        Raises:
            BadInput: not a statement, or one that readers may not run.
            Overload: all readers are busy.
            Transport: the store is away.

        """
        if not _FORMAT_NAME.fullmatch(output_format):
            raise Refused(f"{output_format[:40]!r} is no output format.")
        if len(sql) > TEXT_CHARS_MAX:
            raise Refused(f"The statement has {len(sql)} characters; at most {TEXT_CHARS_MAX} are read.")
        client = self._store.client()
        values = dict(parameters or {})
        if self._is_own(client):
            text = sql.rstrip().rstrip(";")
            if not re.search(r"\bFORMAT\s+\w+\s*$", text, re.IGNORECASE):
                text = f"{text}\nFORMAT {output_format}"
            return _raw(client, text, values, {})
        parser = _ServerParser(client, values)
        permitted = permit(sql, self._store.settings.database, parser, self._functions)
        settings = {**READER_LIMITS, "readonly": "1"}
        chosen = permitted.output_format or output_format
        return _raw(client, f"{permitted.sql}\nFORMAT {chosen}", values, settings)

    def _is_own(self, client: Client) -> bool:
        """Whether our own store answers (chDB cannot listen by itself); asked once."""
        if self._own is None:
            names = _raw(client, f"{sql_files.query_text('function_names')} FORMAT TSVRaw", {}, {}).decode()
            self._functions = frozenset(names.split())
            self._own = "chdb" in self._functions
        return self._own


class _ServerParser:
    """The parser of a ClickHouse server."""

    def __init__(self, client: Client, values: Mapping[str, Any]) -> None:
        self._client = client
        self._values = values

    def normal(self, sql: str) -> str | None:
        """Return the normal text, None when `sql` is not one statement."""
        text = _raw(self._client, f"{NORMAL} FORMAT TSVRaw", {"q": sql}, {"readonly": "1"}).decode()
        text = text.removesuffix("\n")
        return None if text == "\\N" else text

    def tree(self, sql: str) -> str:
        """Return EXPLAIN AST."""
        return _raw(
            self._client, f"EXPLAIN AST {sql} FORMAT TSVRaw", self._values, {"readonly": "1"}
        ).decode()


def _raw(client: Client, sql: str, values: Mapping[str, Any], settings: Mapping[str, str]) -> bytes:
    # Without a {name:Type} in the text the driver would write the values into it by itself.
    bound = dict(values) if _BOUND.search(sql) else None
    try:
        return bytes(
            translated(lambda: client.raw_query(sql, parameters=bound, settings=dict(settings), fmt=None))
        )
    except BadInput as error:
        # The store's own words carry the number and the reason; the address behind them is no news.
        raise Refused(str(error).partition(" (for url")[0]) from error
