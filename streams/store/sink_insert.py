"""Inserts one topic's rows: bad ones are found by halving, unknown outcomes are settled by offset."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from schemas.dead_letter import Stage
from schemas.registry import Registry
from streams.clock import Clock
from streams.errors import Fenced, Overload, Poison, Transport
from streams.kafka.dead_letter import dead_letter
from streams.kafka.record import Record
from streams.store.container import Container
from streams.store.sink_ports import Refusals, Stored
from streams.store.tables import Target

_log = logging.getLogger(__name__)
T = TypeVar("T")
Pause = Callable[[int], None]  # waits before the n-th attempt; raises when the sink is to end


class Inserter:
    """Writes rows of known schemas. Every call returns with each row stored or dead-lettered."""

    def __init__(
        self, store: Stored, registry: Registry, refusals: Refusals, clock: Clock, pause: Pause
    ) -> None:
        self._store = store
        self._registry = registry
        self._refusals = refusals
        self._clock = clock
        self._pause = pause
        self._containers: dict[tuple[str, int], Container] = {}
        self._columns: dict[str, frozenset[str]] = {}

    def insert(
        self, target: Target, schema_id: int, rows: Sequence[Record], missing: Mapping[str, Sequence[Record]]
    ) -> list[Record]:
        """Store `rows` of one writer schema in all tables of `target` and return those refused.

        Args:
            target: topic and tables.
            schema_id: the writer's.
            rows: what is new to every table.
            missing: per table, rows that an earlier life has stored in others only.

        """
        try:
            container = self._container(target, schema_id)
        except Poison as poison:
            whole = {record.offset: record for record in rows}
            for some in missing.values():
                whole.update({record.offset: record for record in some})
            for record in whole.values():
                self.refuse(record, poison)
            return list(whole.values())
        refused: list[Record] = []
        for table in target.tables:
            bad = {(r.partition, r.offset) for r in refused}
            todo = [r for r in (*rows, *missing.get(table, ())) if (r.partition, r.offset) not in bad]
            refused += self._into(table, target, container, todo)
        return refused

    def refuse(self, record: Record, poison: Poison) -> None:
        """Write a dead letter, waiting for the broker as long as it takes."""
        text = f"{record.place}: {poison} It was not stored; look at it in the table dead_letters."
        headers = {k: v.decode("utf-8", "replace") for k, v in record.headers if v is not None}
        letter = dead_letter(
            record, Stage.SINK, reason=poison.reason, error=text, headers=json.dumps(headers)
        )
        self.insisting(lambda: self._refusals.put(letter))
        _log.warning("%s cannot be stored (%s): %s", record.place, poison.reason, poison)

    def _into(self, table: str, target: Target, container: Container, rows: Sequence[Record]) -> list[Record]:
        """Store rows in one table; returns those it refuses."""
        if not rows:
            return []
        columns = self._insert_columns(table, container)
        left = list(rows)
        for attempt in range(1, 1 << 30):
            avro = container.file((r.partition, r.offset, r.value or b"") for r in left)
            try:
                self._store.insert(table, columns, avro)
            except Poison as poison:
                if len(left) == 1:
                    self.refuse(left[0], poison)
                    return left
                half = len(left) // 2
                return self._into(table, target, container, left[:half]) + self._into(
                    table, target, container, left[half:]
                )
            except Fenced:
                raise
            except (Transport, Overload) as error:
                _log.warning("%d rows for %s are not stored yet: %s", len(left), table, error)
                self._pause(attempt)
                left = self.insisting(lambda: self._unstored(table, target, left))  # noqa: B023 - called at once
                if not left:
                    return []
            else:
                return []
        raise AssertionError("unreachable")

    def _unstored(self, table: str, target: Target, rows: Sequence[Record]) -> list[Record]:
        """Return the rows of an insert of unknown outcome that are not in."""
        self._store.end_statements()
        least = min(row.offset for row in rows)
        stored = self._store.offsets_from(table, target.topic, least, {row.partition for row in rows})
        return [row for row in rows if (row.partition, row.offset) not in stored]

    def _container(self, target: Target, schema_id: int) -> Container:
        key = (target.topic, schema_id)
        if key not in self._containers:
            try:
                text = self.insisting(lambda: self._registry.schema(schema_id))
            except LookupError as error:
                raise Poison(f"The registry knows no schema {schema_id}.", reason="unknown_schema") from error
            self._containers[key] = Container(target.topic, text, target.record)
        return self._containers[key]

    def _insert_columns(self, table: str, container: Container) -> list[str]:
        if table not in self._columns:
            self._columns[table] = self.insisting(lambda: self._store.columns(table))
        return [name for name in container.columns if name in self._columns[table]]

    def insisting(self, call: Callable[[], T]) -> T:
        """Return what `call` returns, asking again while a service is away."""
        for attempt in range(1, 1 << 30):
            try:
                return call()
            except Fenced:
                raise
            except (Transport, Overload, OSError) as error:
                _log.warning("the sink waits: %s", error)
                self._pause(attempt)
        raise AssertionError("unreachable")
