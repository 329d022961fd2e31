"""One row per identity: what each form costs (docs/experiments/identity.md).

`python bench/identity_forms.py [ROWS] [PAGE_ROWS]`: CPU per event of inserting with labels as Avro maps, as
text, as text with an alias or a materialized map; of the id window beside ReplacingMergeTree with FINAL; and
the newest 50.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import chdb
import fastavro

from schemas import avro_schema
from schemas.dedupe import IdWindow
from schemas.new_id import new_id
from streams.store.container import Container

BATCH = 10_000
NOW_US = 1_790_000_000_000_000
LABELS = {"type": "map", "values": "string"}
PLACE = "topic LowCardinality(String), partition UInt16, offset UInt64 CODEC(Delta, Default)"
REST = (
    "id UUID, event LowCardinality(String), resource_id String, "
    "occurred DateTime64(6,'UTC') CODEC(Delta, Default), received DateTime64(6,'UTC') CODEC(Delta, Default), "
    "payload String, source LowCardinality(String), causation_id Nullable(UUID), correlation_id UUID, "
    "follows Nullable(UUID), replay_of Nullable(UUID), depth UInt16"
)
TEXT = "resource_text String, related String"
AS_MAP = "JSONExtract(resource_text, 'Map(String, String)')"
FORMS = {
    "Avro maps": "resource Map(String, String), related Array(Map(String, String))",
    "text": TEXT,
    "text + ALIAS map": f"{TEXT}, resource Map(String, String) ALIAS {AS_MAP}",
    "text + MATERIALIZED map": f"{TEXT}, resource Map(String, String) MATERIALIZED {AS_MAP}",
}


def cpu_s() -> float:
    """CPU seconds of this process, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def schema(*, maps: bool) -> str:
    """The event schema, labels as text or as maps."""
    parsed = json.loads(avro_schema.text("event"))
    for one in parsed["fields"]:
        if maps and one["name"] == "resource":
            one["type"] = LABELS
        if maps and one["name"] == "related":
            one["type"] = {"type": "array", "items": LABELS}
    return json.dumps(parsed)


def messages(count: int, *, maps: bool) -> list[bytes]:
    """Framed events of about 600 bytes, as a storage source makes them."""
    parsed = avro_schema.parse_plain(schema(maps=maps))
    found = []
    for n in range(count):
        one = new_id((NOW_US + n * 1000) // 1000)
        resource_id = f"s3://landing/2026/11/file-{n}.csv"
        labels = {
            "resource.id": resource_id,
            "provider": "s3",
            "bucket": "landing",
            "key": f"2026/11/file-{n}.csv",
            "size": str(n * 37),
            "etag": f"{n:032x}",
            "sequencer": f"{n:016x}",
        }
        related = [{"resource.id": f"s3.bucket.{n % 50}", "resource.role": "bucket"}]
        out = BytesIO()
        record = {
            "id": one,
            "event": "storage.object.created",
            "resource_id": resource_id,
            "occurred": NOW_US + n * 1000,
            "received": NOW_US + n * 1000 + 900,
            "resource": labels if maps else json.dumps(labels),
            "related": related if maps else json.dumps(related),
            "payload": json.dumps({"customer": n % 1000, "amount": n / 7, "note": "paid in full, thank you"}),
            "source": "landing",
            "causation_id": None,
            "correlation_id": one,
            "follows": None,
            "replay_of": None,
            "depth": 0,
        }
        fastavro.schemaless_writer(out, parsed, record)
        found.append(b"\x00\x00\x00\x00\x01" + out.getvalue())
    return found


def table(db: Any, name: str, columns: str, engine: str = "MergeTree", order: str = "(occurred, id)") -> None:
    """A fresh table with the indexes of the store's."""
    db.query(f"DROP TABLE IF EXISTS {name} SYNC")
    db.query(
        f"CREATE TABLE {name} ({PLACE}, {REST}, {columns}, "
        "INDEX by_id id TYPE bloom_filter(0.01) GRANULARITY 1, "
        "INDEX by_resource resource_id TYPE bloom_filter(0.01) GRANULARITY 1) "
        f"ENGINE = {engine} ORDER BY {order}"
    )


def insert(
    db: Any, name: str, container: Container, rows: Sequence[bytes], start: int, columns: Sequence[str]
) -> None:
    """One batch."""
    with db.send_insert(f"INSERT INTO {name} ({', '.join(columns)})", "Avro") as inserter:
        inserter.append(container.file((n % 8, n, row) for n, row in enumerate(rows, start)))
        inserter.finish()


def insert_costs(db: Any, count: int) -> None:
    """CPU per event of each form of the labels."""
    made = {maps: messages(count, maps=maps) for maps in (True, False)}
    for form, columns in FORMS.items():
        maps = form == "Avro maps"
        container = Container("events", schema(maps=maps), "Event")
        names = [c if not maps or c != "resource_text" else "resource" for c in container.columns]
        if maps:
            container = Container(
                "events", schema(maps=True).replace('"name": "Event"', '"name": "Maps"'), "Maps"
            )
        best = 1e9
        for _ in range(3):
            table(db, "forms", columns)
            began_s = cpu_s()
            for start in range(0, count, BATCH):
                insert(db, "forms", container, made[maps][start : start + BATCH], start, names)
            best = min(best, cpu_s() - began_s)
        db.query("OPTIMIZE TABLE forms FINAL")
        size = float(
            str(
                db.query(
                    "SELECT sum(bytes_on_disk)/sum(rows) FROM system.parts WHERE table='forms' AND active",
                    "TSV",
                )
            )
        )
        ask = "SELECT resource['bucket'], count() FROM forms GROUP BY 1"
        read_ms = timed_ms(lambda ask=ask: db.query(ask)) if form != "text" else float("nan")  # type: ignore[misc]
        print(
            f"{form:26s} insert {best / count * 1e6:6.2f} us CPU/event   {size:6.1f} B/row   "
            f"group by label {read_ms:8.1f} ms/{count:,} rows",
            flush=True,
        )


def timed_ms(call: Callable[[], object]) -> float:
    """Best of three, ms."""
    best = 1e9
    for _ in range(3):
        began_s = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - began_s)
    return best * 1000


def window_cost(count: int) -> None:
    """CPU of the id window alone, with every second id a duplicate."""
    ids = [new_id((NOW_US + n * 1000) // 1000) for n in range(count)]
    for whole in (True, False):
        window = IdWindow(3_600_000_000, 200_000, from_start=whole)
        window.remember(new_id(), NOW_US - 3_600_000_000)
        began_s = cpu_s()
        for n, one in enumerate(ids):
            window.seen(one, NOW_US + n * 1000)
            window.seen(one, NOW_US + n * 1000)
        took_s = cpu_s() - began_s
        name = "from the partition's start" if whole else "after an eviction"
        print(f"id window, {name}: {took_s / count / 2 * 1e6:.2f} us CPU/record", flush=True)


def engines(db: Any, count: int, pages: int) -> None:
    """ReplacingMergeTree with every event twice beside MergeTree with each once."""
    made = messages(count, maps=False)
    container = Container("events", schema(maps=False), "Event")
    window = IdWindow(3_600_000_000, 400_000, from_start=True)
    for name, engine in (("window", "MergeTree"), ("replacing", "ReplacingMergeTree(offset)")):
        table(db, name, TEXT, engine)
        began_s = cpu_s()
        for _ in range(2):
            for start in range(0, count, BATCH):
                rows: Sequence[bytes] = made[start : start + BATCH]
                if name == "window":
                    rows = [r for r in rows if window.seen(r[6:42].decode(), NOW_US + start) == "new"]
                    if not rows:
                        continue
                insert(db, name, container, rows, start, container.columns)
        db.query(f"OPTIMIZE TABLE {name} FINAL")
        took_s = cpu_s() - began_s
        print(
            f"{engine:28s} every event twice: {took_s / count / 2 * 1e6:6.2f} us CPU/record, merge included",
            flush=True,
        )
    newest_50(db, pages)


def newest_50(db: Any, pages: int) -> None:
    """The newest 50 of `pages` rows in 12 parts that overlap in time: plain, and with FINAL."""
    columns = (
        "occurred DateTime64(6,'UTC') CODEC(Delta, Default), id UUID, event LowCardinality(String), "
        "payload String, offset UInt64"
    )
    source = (
        "SELECT toDateTime64('2026-03-01 00:00:00', 6, 'UTC') + toIntervalMicrosecond(number * 43200), "
        "generateUUIDv7(number), 'storage.object.created', toString(cityHash64(number)), number"
    )
    part = pages // 12
    for name, engine in (("plain", "MergeTree"), ("replaced", "ReplacingMergeTree(offset)")):
        db.query(f"DROP TABLE IF EXISTS {name} SYNC")
        db.query(f"CREATE TABLE {name} ({columns}) ENGINE = {engine} ORDER BY (occurred, id)")
        db.query(f"SYSTEM STOP MERGES {name}")
        for n in range(12):
            db.query(
                f"INSERT INTO {name} {source} FROM (SELECT number * 12 + {n} AS number FROM numbers({part}))"
            )
        for final in ("", " FINAL") if name == "replaced" else ("",):
            ask(db, f"{name}{final}", pages)


def ask(db: Any, table_name: str, pages: int) -> None:
    """Time the newest 50 and a whole scan."""
    began_s = cpu_s()
    newest_ms = timed_ms(
        lambda: db.query(f"SELECT * FROM {table_name} ORDER BY occurred DESC, id DESC LIMIT 50")
    )
    used_ms = (cpu_s() - began_s) / 3 * 1000
    scan_ms = timed_ms(lambda: db.query(f"SELECT uniq(event) FROM {table_name}"))
    print(
        f"newest 50 of {pages:,} rows, {table_name:15s} {newest_ms:9.1f} ms wall {used_ms:9.1f} ms CPU; "
        f"a whole scan {scan_ms:8.1f} ms",
        flush=True,
    )


def main() -> None:
    """Run all parts."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    pages = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000_000
    with tempfile.TemporaryDirectory() as folder:
        db = chdb.connect(str(Path(folder) / "db"))
        db.query("CREATE DATABASE d")
        db.query("USE d")
        db.query("SET async_insert=0")
        window_cost(count)
        insert_costs(db, count)
        engines(db, count, pages)
        db.close()


if __name__ == "__main__":
    main()
