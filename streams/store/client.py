"""What the sink asks of the store, as the writer. Calls block; one thread at a time."""

import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from clickhouse_connect.driver.client import Client

from streams.errors import Fenced
from streams.settings import ClickHouseSettings
from streams.store import sql_files
from streams.store.connect import connect, translated
from streams.store.migrate import migrate

T = TypeVar("T")
Place = tuple[str, int]  # topic, partition
IDS_PER_QUERY = 500  # they travel in the address of a request
_INSERT_SETTINGS: Mapping[str, Any] = {
    # The answer means stored, not queued.
    "async_insert": 0,
    # A field that a newer or older schema lacks gets the column's default.
    "input_format_avro_allow_missing_fields": 1,
    "max_partitions_per_insert_block": 0,
}


class StoreWriter:
    """One sink's connection: lease, progress, look-ups and inserts.

    Args:
        settings: where the store is; `writer_user` and `writer_password` are used.
        ordinal: which of the sinks this is.

    Every call raises Transport when the store is away, Fenced when another sink holds the ordinal.

    """

    def __init__(self, settings: ClickHouseSettings, ordinal: int) -> None:
        self._ordinal = ordinal
        self._holder = secrets.token_hex(8)
        self._epoch = 0
        self._serial = 0
        self._database = settings.database
        # The database may not be there yet.
        with_any = settings.model_copy(update={"database": "default"})
        bootstrap = connect(with_any, writer=True)
        translated(lambda: bootstrap.command(f"CREATE DATABASE IF NOT EXISTS {settings.database}"))
        bootstrap.close()
        self._client: Client = connect(settings, writer=True)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def migrate(self) -> tuple[str, ...]:
        """Bring the tables up to date; returns what was applied."""
        return migrate(self._text)

    def take_lease(self) -> int:
        """Shut earlier sinks of this ordinal out and end their statements; returns the epoch.

        The embedded store serialises grants and refuses a write under an older epoch. Against a server the
        grant is a row that all sinks read (`check_lease`), so that an older sink stops at its next batch.
        """
        values = {"ordinal": str(self._ordinal), "holder": self._holder}
        self._text(sql_files.query_text("lease_take"), values)
        self._epoch = self._newest_lease()
        self.end_statements()
        return self._epoch

    def check_lease(self) -> None:
        """Raise Fenced when a newer lease was granted."""
        self._newest_lease()

    def end_statements(self) -> None:
        """End what an earlier connection of this ordinal may still run, and wait for it."""
        prefix = f"sink.{self._ordinal}."
        self._text(f"KILL QUERY WHERE startsWith(query_id, '{prefix}') SYNC", {})

    def progress(self) -> dict[Place, int]:
        """Return the next offset of every partition that a sink has handled."""
        return {(topic, partition): after for topic, partition, after in self._rows("progress", {})}

    def save_progress(self, progress: Mapping[Place, int]) -> None:
        """Note that everything below these offsets is handled."""
        rows = [[topic, partition, after] for (topic, partition), after in progress.items()]
        translated(
            lambda: self._client.insert(
                "sink_progress",
                rows,
                column_names=["topic", "partition", "next"],
                column_type_names=["LowCardinality(String)", "UInt16", "UInt64"],
                settings={"query_id": self._query_id(), "async_insert": 0},
            )
        )

    def offsets_from(
        self, table: str, topic: str, least: int, partitions: Collection[int]
    ) -> set[tuple[int, int]]:
        """Return (partition, offset) of the rows of `topic` in `table` at or above `least`."""
        values = {"topic": topic, "least": str(least), "partitions": sorted(partitions)}
        rows = self._rows("offsets_from", values, table=table)
        return {(partition, offset) for partition, offset in rows}

    def known_ids(self, table: str, ids: Sequence[str]) -> set[str]:
        """Return those of `ids` that are in `table`."""
        found: set[str] = set()
        for some in _chunks(ids, IDS_PER_QUERY):
            found.update(row[0] for row in self._rows("ids_known", {"ids": list(some)}, table=table))
        return found

    def columns(self, table: str) -> frozenset[str]:
        """Return the columns that an insert may name."""
        return frozenset(row[0] for row in self._rows("insert_columns", {"table": table}))

    def insert(self, table: str, columns: Sequence[str], avro: bytes) -> None:
        """Store an Avro file; raises Poison when a row of it cannot be read."""
        translated(
            lambda: self._client.raw_insert(
                table,
                columns,
                avro,
                fmt="Avro",
                settings={**_INSERT_SETTINGS, "query_id": self._query_id()},
            )
        )

    def _newest_lease(self) -> int:
        epoch, holder = next(iter(self._rows("lease_newest", {"ordinal": str(self._ordinal)})))
        if holder != self._holder:
            raise Fenced(
                f"Sink {self._ordinal} has lost its place: lease {epoch} was granted to another process. "
                "Let one of the two run, or give them different ordinals."
            )
        return int(epoch)

    def _query_id(self) -> str:
        self._serial += 1
        return f"sink.{self._ordinal}.{self._epoch}.{self._holder}{self._serial}"

    def _text(self, sql: str, values: Mapping[str, str]) -> str:
        answer = translated(lambda: self._client.raw_query(sql, parameters=dict(values), fmt=None))
        return bytes(answer).decode()

    def _rows(self, name: str, values: Mapping[str, Any], table: str = "") -> Sequence[Sequence[Any]]:
        sql = sql_files.query_text(name).replace("TABLE", table)
        return translated(lambda: self._client.query(sql, parameters=dict(values)).result_rows)


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
