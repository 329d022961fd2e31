"""The views of typed events in a real store: every type exact, nothing ever raises, readers may ask."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.event_type import EventType, event_type, view_of
from schemas.record import EventRecord
from schemas.topics import topics
from streams.errors import Transport
from streams.store.queries.reader import StoreReader
from streams.store.read_only_sql import ReadOnlySql
from streams.store.typed_view import columns_of
from streams.store.typed_views import TypedViews
from tests.connected.store_process import StoreProcess
from tests.connected.store_rows import SinkHarness, append, event, memory_log

pytestmark = pytest.mark.connected

NAME = "order.it's\\paid"  # nothing of a name is believed
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 4}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
ENUM = {"type": "enum", "name": "Size", "symbols": ["small", "large"]}
RECORD = {"type": "record", "name": "Part", "fields": [{"name": "n", "type": "long"}]}
UUID = "01890a5d-ac96-774b-bcce-b302099a8057"
# field, type, JSON sent, type in SQL, what SQL says of it
CASES: list[tuple[str, Any, Any, str, Any]] = [
    ("id", {"type": "string", "logicalType": "uuid"}, UUID, "UUID", UUID),
    ("amount", DECIMAL, "-1234567890123456789012345678901234.5678", "Decimal(38, 4)", ...),
    ("n", "long", 2**63 - 1, "Int64", "9223372036854775807"),
    ("i", "int", -(2**31), "Int32", "-2147483648"),
    ("f", "float", 0.1, "Float32", "0.1"),
    ("d", "double", 1.0000000000000002, "Float64", "1.0000000000000002"),
    ("b", "boolean", True, "Bool", "true"),
    ("raw", "bytes", "YWIA", "String", "ab\u0000"),
    ("at", MICROS, "2026-01-31T12:00:00.123456+01:00", "DateTime64(6, 'UTC')", "2026-01-31 11:00:00.123456"),
    ("old", MICROS, "1900-01-01T00:00:00.000001Z", "DateTime64(6, 'UTC')", "1900-01-01 00:00:00.000001"),
    ("far", MICROS, "2299-12-31T23:59:59.999999Z", "DateTime64(6, 'UTC')", "2299-12-31 23:59:59.999999"),
    ("day", {"type": "int", "logicalType": "date"}, "2299-12-31", "Date32", "2299-12-31"),
    ("clock", {"type": "long", "logicalType": "time-micros"}, "01:02:03.5", "String", "01:02:03.5"),
    ("size", ENUM, "large", "LowCardinality(String)", "large"),
    ("tags", {"type": "array", "items": "string"}, ["a", "é'"], "Array(String)", ...),
    (
        *("times", {"type": "array", "items": ["null", MICROS]}),
        *(["2026-01-31T12:00:00Z", None], "Array(Nullable(DateTime64(6, 'UTC')))"),
        "['2026-01-31 12:00:00.000000',NULL]",
    ),
    ("sums", {"type": "map", "values": DECIMAL}, {"k": "1.5"}, "Map(String, Decimal(38, 4))", "{'k':1.5}"),
    ("keys", {"type": "map", "values": "bytes"}, {"q": "YWI="}, "Map(String, String)", "{'q':'ab'}"),
    ("part", RECORD, {"n": 1}, "String", '{"n":1}'),
    ("parts", {"type": "array", "items": "Part"}, [{"n": 2}], "String", '[{"n":2}]'),
    ("no_part", ["null", "Part"], None, "Nullable(String)", None),
    ("no_n", ["null", "long"], None, "Nullable(Int64)", None),
    ("no_at", ["null", MICROS], None, "Nullable(DateTime64(6, 'UTC'))", None),
    ("no_size", ["null", "Size"], None, "LowCardinality(Nullable(String))", None),
    ("no_raw", ["null", "bytes"], None, "Nullable(String)", None),
    ("no_list", ["null", {"type": "array", "items": "long"}], None, "Array(Int64)", "[]"),
]


def typed(*more: dict[str, Any], number: int = 1) -> EventType:
    """A type with every kind of field, and some more."""
    fields = [{"name": name, "type": kind} for name, kind, *_ in CASES]
    text = json.dumps({"type": "record", "name": "Paid", "fields": [*fields, *more]})
    return event_type(NAME, {number: (7, text)})


def from_cloud(data: Any) -> EventRecord:
    """The same payload as the data of a CloudEvent."""
    payload = json.dumps({"data": data, "cloudevents": {"id": "1", "source": "/shop"}})
    resource = json.dumps({"resource.id": "ce", "provider": "cloudevents"})
    return event(event=NAME, payload=payload, resource=resource, resource_id="ce", source="s")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProcess]:
    """A store with a fitting event and others that came before the schema."""
    process = StoreProcess(tmp_path_factory.mktemp("store")).start()
    try:
        own = topics("typed.", 1)
        log = memory_log(own)
        fitting = {name: value for name, _, value, *_ in CASES}
        odd = [
            dict.fromkeys(fitting, value) for value in (4, "x", None, [], {}, [[{}]], {"k": [1]}, 1e300, True)
        ]
        payloads = [fitting, {}, *odd]
        records = [
            event(event=NAME, payload=json.dumps(one), resource_id=f"r{at}", source="s")
            for at, one in enumerate(payloads)
        ]
        append(log, own, [*records, from_cloud(fitting), event(event="order.other", payload="{}")])
        SinkHarness(log, own, process.settings()).drain().finish()
        yield process
    finally:
        process.stop()


def ask(store: StoreProcess, sql: str) -> list[dict[str, Any]]:
    """What a stranger is told."""
    reader = StoreReader(store.settings())
    try:
        found: list[dict[str, Any]] = json.loads(ReadOnlySql(reader).run(sql, "JSON"))["data"]
        return found
    finally:
        reader.close()


def test_every_type_has_its_column(store: StoreProcess) -> None:
    """Type and value of each column are exact; a field that is called as a column of ours is renamed."""
    kind = typed()
    views = TypedViews(store.settings())
    views.take({NAME: kind})
    views.take({NAME: kind})
    columns = columns_of(kind)
    assert columns[0].name == "payload_id"
    view = view_of(NAME)
    assert view in {row["name"] for row in ask(store, "SHOW TABLES")}
    types = ", ".join(f"toTypeName({one.name}) AS `{one.field}`" for one in columns)
    (told,) = ask(store, f"SELECT {types} FROM {view} WHERE resource_id = 'r0'")
    assert told == {name: wanted for name, _, _, wanted, _ in CASES}
    assert told == {one.field: one.sql_type for one in columns}
    values = ", ".join(f"toString({one.name}) AS `{one.field}`" for one in columns)
    (row,) = ask(store, f"SELECT {values} FROM {view} WHERE resource_id = 'r0'")
    wanted = {name: said for name, _, _, _, said in CASES}
    wanted["amount"], wanted["tags"] = "-1234567890123456789012345678901234.5678", "['a','é\\'']"
    assert row == wanted


def test_a_cloud_events_data_is_in_the_same_columns(store: StoreProcess) -> None:
    """An event that came as a CloudEvent has the row that its data would have as a plain payload."""
    TypedViews(store.settings()).take({NAME: typed()})
    columns = "* EXCEPT (id, occurred, received, resource_id)"
    rows = ask(store, f"SELECT {columns} FROM {view_of(NAME)} WHERE resource_id IN ('r0', 'ce')")
    assert len(rows) == 2
    assert rows[0] == rows[1]


def test_no_row_breaks_the_view(store: StoreProcess) -> None:
    """Events of the name that came before its schema, whatever they hold, are rows without an error."""
    TypedViews(store.settings()).take({NAME: typed()})
    rows = ask(store, f"SELECT * FROM {view_of(NAME)} ORDER BY resource_id")
    assert len(rows) == 12
    empty = next(row for row in rows if row["resource_id"] == "r1")
    assert (empty["n"], empty["no_n"], empty["tags"], empty["at"]) == (
        *(0, None),
        *([], "1970-01-01 00:00:00.000000"),
    )


def test_a_new_version_replaces_the_view(store: StoreProcess) -> None:
    """A field with a default is a column at once; rows without it have the default, text of any kind."""
    views = TypedViews(store.settings())
    views.take({NAME: typed()})
    text = "it's \\ \" {x:String} ?\n"
    more = [
        {"name": "note", "type": "string", "default": text},
        {"name": "fee", "type": DECIMAL, "default": "\u0005\u00dc"},
        {"name": "since", "type": MICROS, "default": 1},
    ]
    views.take({NAME: typed(*more, number=2)})
    (row,) = ask(
        store, f"SELECT note, toString(fee) AS fee, since FROM {view_of(NAME)} WHERE resource_id = 'r0'"
    )
    assert row == {"note": text, "fee": "0.15", "since": "1970-01-01 00:00:00.000001"}


def test_without_the_store_it_is_asked_again(tmp_path: Path) -> None:
    """A store that is away raises Transport, so that whoever follows the registry comes again."""
    gone = StoreProcess(tmp_path / "gone").start()
    settings = gone.settings()
    gone.stop()
    with pytest.raises(Transport):
        TypedViews(settings).take({NAME: typed()})
