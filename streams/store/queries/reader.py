"""A reading connection to the store: named queries in, rows ready for JSON out."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from threading import Lock
from typing import Any
from uuid import UUID

from clickhouse_connect.driver.client import Client

from streams.settings import ClickHouseSettings
from streams.store import sql_files
from streams.store.connect import connect, translated

Row = dict[str, Any]


class StoreReader:
    """Runs our own queries as the reading user; threads may share it.

    The connection is made at the first query. Every call raises Transport while the store is away and
    Overload when all its readers are busy.
    """

    def __init__(self, settings: ClickHouseSettings) -> None:
        self._settings = settings
        self._client: Client | None = None
        self._connecting = Lock()

    @property
    def settings(self) -> ClickHouseSettings:
        """Where the store is."""
        return self._settings

    def client(self) -> Client:
        """Return the connection, making it when there is none."""
        with self._connecting:
            if self._client is None:
                self._client = connect(self._settings, writer=False)
            return self._client

    def rows(self, name: str, values: Mapping[str, Any]) -> list[Row]:
        """Return the rows of `sql/queries/NAME.sql` with `values` bound."""
        client = self.client()
        found = translated(lambda: client.query(sql_files.query_text(name), parameters=dict(values)))
        return [dict(zip(found.column_names, map(plain, row), strict=True)) for row in found.result_rows]

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None


def plain(value: Any) -> Any:
    """Return a value as JSON has it: ids as text, times as ISO 8601 in UTC, no NaN."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return aware.isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    return value
