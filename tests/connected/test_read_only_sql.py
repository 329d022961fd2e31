"""A stranger's SQL against a real store: nothing outside is read or written, nothing inside is changed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
from clickhouse_connect import get_client
from clickhouse_connect.driver.exceptions import DatabaseError

from schemas.topics import topics
from streams.errors import BadInput
from streams.settings import ClickHouseSettings
from streams.store.client import StoreWriter
from streams.store.guard import Refused, allowed_functions, permit
from streams.store.queries.reader import StoreReader
from streams.store.read_only_sql import ReadOnlySql
from tests.connected.store_process import StoreProcess
from tests.connected.store_rows import SinkHarness, append, event, memory_log

pytestmark = pytest.mark.connected

_open: list[Any] = []  # clients to close at the end
ATTACKS = (Path(__file__).parent / "sql_attacks.txt").read_text("utf-8").splitlines()
HARMLESS = [
    "SELECT count() FROM events",
    "SELECT event, count() AS n, uniqExact(resource_id) FROM events GROUP BY event ORDER BY n DESC",
    "SELECT * FROM runs WHERE state = 'failed' -- a comment",
    "SELECT resource['bucket'] FROM ensue.events WHERE payload LIKE '%x%' FORMAT JSONEachRow",
    "WITH r AS (SELECT * FROM events WHERE occurred > now() - INTERVAL 1 DAY) SELECT count() FROM r;",
    "SELECT e.event, f.trigger FROM events AS e INNER JOIN firings AS f ON has(f.event_ids, e.id)",
    "SELECT countIf(event = 'x'), quantilesTDigest(0.5, 0.9)(partition), sumOrNullIf(1, 1) FROM events",
    "SELECT JSONExtractString(payload, 'name'), toStartOfHour(occurred) AS h FROM events ORDER BY h LIMIT 3",
    "SELECT row_number() OVER (PARTITION BY event ORDER BY occurred) FROM events",
    "SELECT number FROM numbers(10) UNION ALL SELECT 1",
    "SELECT if(event = 'a', 1, 2), CASE WHEN 1 THEN 'x' END FROM events WHERE id IN (SELECT id FROM events)",
    "SELECT arrayMap(x -> x + 1, [1, 2]), map('a', 1)['a'], (1, 2).1",
    "SELECT * EXCEPT (payload) FROM events",
    "SHOW TABLES",
    "DESCRIBE TABLE events",
    "SELECT name FROM system.tables",
    "SELECT kind, count() FROM causes GROUP BY kind",
    "(SELECT 1)",
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProcess]:
    """A store with a few rows in it."""
    process = StoreProcess(tmp_path_factory.mktemp("store")).start()
    own = topics("attacked.", 2)
    log = memory_log(own)
    append(log, own, [event() for _ in range(100)])
    SinkHarness(log, own, process.settings()).drain().finish()
    yield process
    for client in _open:
        client.close()
    process.stop()


def _fingerprint(store: StoreProcess) -> list[Any]:
    """Everything that a successful attack could have changed, seen by the writer."""
    settings = store.settings()
    client = get_client(
        host="127.0.0.1",
        port=store.port,
        username="writer",
        password=settings.writer_password.get_secret_value(),
        database="ensue",
    )
    questions = (
        "SELECT name, engine, create_table_query FROM system.tables WHERE database = 'ensue' ORDER BY name",
        "SELECT name FROM system.databases ORDER BY name",
        "SELECT name FROM system.functions WHERE origin != 'System'",
        "SELECT count(), sum(cityHash64(*)) FROM events",
        "SELECT count(), sum(cityHash64(*)) FROM sink_leases",
        "SELECT count(), sum(cityHash64(*)) FROM sink_progress FINAL",
        "SELECT name, value FROM system.settings WHERE changed AND name != 'max_threads' ORDER BY name",
    )
    found = [client.query(sql).result_rows for sql in questions]
    client.close()
    return found


def _reader(store: StoreProcess, user: str = "reader") -> Any:
    client = get_client(host="127.0.0.1", port=store.port, username=user, database="ensue", compress=False)
    _open.append(client)
    return client


def test_there_are_enough_attacks() -> None:
    """The list holds at least 250 different statements."""
    assert len(set(ATTACKS)) >= 250


@pytest.mark.parametrize("way", ["body", "post-sql"])
def test_no_attack_reads_or_changes_anything(store: StoreProcess, tmp_path: Path, way: str) -> None:
    """Each statement is refused with a reason; no file is written, and the store is what it was."""
    before = _fingerprint(store)
    asking = StoreReader(store.settings())
    _open.append(asking)
    gateway = ReadOnlySql(asking)
    leak = tmp_path / "leak"
    passed: list[str] = []
    for attack in ATTACKS:
        sql = attack.replace("LEAK", str(leak)).replace("\\n", "\n")
        try:
            if way == "body":
                answer: Any = _post(store, sql.encode(), "param_a=x&param_t=system.processes&param_f=file")
            else:
                answer = gateway.run(sql, "CSV", {"a": "x", "t": "system.processes", "f": "x"})
        except (DatabaseError, HTTPError, BadInput, ValueError):
            continue
        passed.append(f"{sql} -> {answer[:80]!r}")
    assert passed == []
    assert not leak.exists()
    assert list(tmp_path.iterdir()) == []
    assert _fingerprint(store) == before


def _post(store: StoreProcess, body: bytes, query: str = "", headers: dict[str, str] | None = None) -> bytes:
    request = Request(f"{store.url}/?{query}", data=body, headers=headers or {})
    try:
        with urlopen(request, timeout=30) as answer:
            return bytes(answer.read())
    except HTTPError as error:
        error.close()
        raise


@pytest.mark.parametrize("sql", HARMLESS)
def test_ordinary_questions_are_answered(store: StoreProcess, sql: str) -> None:
    """What an analyst writes works, over the protocol and over POST /sql."""
    asking = StoreReader(store.settings())
    ReadOnlySql(asking).run(sql)
    asking.close()
    _post(store, sql.encode())


def test_guard_alone_refuses_functions_that_the_engine_would_run(store: StoreProcess) -> None:
    """The list test would see a hole: with the guard left out, the engine does read the file."""
    settings = store.settings()
    client = get_client(
        host="127.0.0.1",
        port=store.port,
        username="writer",
        password=settings.writer_password.get_secret_value(),
        database="ensue",
    )
    assert b"root:" in client.raw_query("SELECT file('/etc/passwd')")
    client.close()


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT number FROM numbers(200000)", 396),
        ("SELECT groupArray(number) FROM numbers(400000000)", 241),
        ("SELECT count() FROM numbers(100000000000)", 158),
        ("SELECT count() FROM numbers(400000000) WHERE sipHash64(sipHash64(toString(number), 'x')) = 1", 159),
        ("SELECT " + "(" * 400 + "1" + ")" * 400, 62),
    ],
)
def test_heavy_questions_end_at_their_limit(store: StoreProcess, sql: str, code: int) -> None:
    """Rows, memory, rows read, time and nesting are bounded, and the reader works on after it."""
    client = _reader(store)
    with pytest.raises(DatabaseError) as caught:
        client.query(sql)
    assert caught.value.code in {code, 306, 167}
    assert client.query("SELECT 1 AS one").result_rows == [(1,)]


def test_failed_question_leaves_nothing_to_the_next_reader(store: StoreProcess) -> None:
    """Rows already made when a statement failed never come out of another one (a fault of chDB 4.4)."""
    for _ in range(3):
        with pytest.raises(HTTPError):
            _post(store, b"SELECT number, toString(number) FROM numbers(100002) FORMAT TSV")
        assert _post(store, b"SELECT 1") == b"1\n"
        assert _post(store, b"SELECT 2") == b"2\n"


def test_users(store: StoreProcess) -> None:
    """Readers need no password and cannot write; a wrong name or secret is refused."""
    for user in ("reader", "default"):
        client = _reader(store, user)
        assert client.query("SELECT count() >= 100 FROM events").result_rows == [(True,)]
        with pytest.raises(DatabaseError):
            client.command("INSERT INTO sink_progress (topic, partition, next) VALUES ('x', 0, 9)")
    for user, password in (("writer", ""), ("writer", "wrong"), ("admin", "")):
        with pytest.raises(DatabaseError) as caught:
            get_client(host="127.0.0.1", port=store.port, username=user, password=password)
        assert caught.value.code == 516


def test_writer_secret_is_private(store: StoreProcess) -> None:
    """Only its owner may read the writer's secret and the engine's configuration."""
    for name in ("writer.secret", "config.xml", "users.xml"):
        assert (store.data / "store" / name).stat().st_mode & 0o077 == 0


def test_foreign_hosts_and_pages_are_refused(store: StoreProcess) -> None:
    """A name that is not loopback's (DNS rebinding) and a page of another origin get nothing."""
    for headers in ({"Host": "evil.example:4289"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        with pytest.raises(HTTPError) as caught:
            _post(store, b"SELECT 1", headers=headers)
        assert caught.value.code == 403
    assert (
        _post(store, b"SELECT 1", headers={"Host": "localhost:1", "Origin": "http://127.0.0.1:4288"})
        == b"1\n"
    )


def test_errors_carry_their_number(store: StoreProcess) -> None:
    """An error answers with ClickHouse's number in the header, as its clients expect."""
    with pytest.raises(HTTPError) as caught:
        _post(store, b"SELECT * FROM nowhere")
    assert caught.value.code == 404
    assert caught.value.headers["X-ClickHouse-Exception-Code"] == "60"
    with pytest.raises(HTTPError) as caught:
        _post(store, b"", "query=" + quote("SELECT file('/etc/passwd')"))
    assert caught.value.headers["X-ClickHouse-Exception-Code"] == "497"


def test_protocol_of_clickhouse_connect(store: StoreProcess) -> None:
    """Queries, bound values, streams, inserts, raw and compressed inserts, settings and errors work."""
    settings = store.settings()
    secret = settings.writer_password.get_secret_value()
    reading = get_client(host="127.0.0.1", port=store.port, username="reader", database="ensue")
    writing = get_client(
        host="127.0.0.1", port=store.port, username="writer", password=secret, database="ensue"
    )
    assert reading.ping()
    values = {"n": 3, "s": "x'\n\t\\y", "a": ["a", "b'"]}
    assert reading.query(
        "SELECT {n:UInt8}, {s:String}, {a:Array(String)}", parameters=values
    ).result_rows == [(3, "x'\n\t\\y", ["a", "b'"])]
    with reading.query_row_block_stream("SELECT number FROM numbers(50000)") as stream:
        assert sum(len(block) for block in stream) == 50_000
    names = ["topic", "partition", "next"]
    assert writing.insert("sink_progress", [["probe", 0, 5]], column_names=names).written_rows == 1
    assert writing.raw_insert("sink_progress", names, "probe,1,9\nprobe,2,8\n", fmt="CSV").written_rows == 2
    for encoding, packed in _packed(b"probe,3,1\n").items():
        done = writing.raw_insert("sink_progress", names, packed, fmt="CSV", compression=encoding)
        assert done.written_rows == 1
    assert writing.query("SELECT getSetting('max_threads')", settings={"max_threads": 1}).result_rows == [
        (1,)
    ]
    summary = reading.query("SELECT sum(number) FROM numbers(1000)").summary
    assert int(summary["read_rows"]) >= 1
    assert reading.raw_query("SELECT 1 AS a", fmt="JSONEachRow") == b'{"a":1}\n'
    reading.close()
    writing.close()


def _packed(data: bytes) -> dict[str, bytes]:
    import gzip

    import lz4.frame
    import zstandard

    return {"gzip": gzip.compress(data), "lz4": lz4.frame.compress(data), "zstd": zstandard.compress(data)}


def test_allowed_functions_name_no_table_function(store: StoreProcess) -> None:
    """No allowed name is also that of a table function, save those that only count."""
    client = get_client(
        host="127.0.0.1",
        port=store.port,
        username="writer",
        password=store.settings().writer_password.get_secret_value(),
        database="ensue",
    )
    rows = client.query("SELECT name FROM system.functions").result_rows
    known = {str(row[0]) for row in rows}
    lower = {name.lower() for name in allowed_functions()}
    hidden = {name for name in known if name.lower() in lower} - allowed_functions()
    assert hidden == set()
    dangerous = "file url remote cluster merge executable dictionary input format view loop eval s3 python"
    assert lower.isdisjoint(dangerous.split())
    client.close()


def test_second_owner_is_told_who_has_the_folder(store: StoreProcess) -> None:
    """A second store on the same folder ends with a sentence that names the first one's process."""
    second = StoreProcess(store.data)
    with pytest.raises(RuntimeError, match=f"in use by process {store.pid}"):
        second.start()


def test_on_a_server_the_guard_asks_its_parser(store: StoreProcess) -> None:
    """Against a ClickHouse server the five layers are built from its own parser and settings."""

    class Parser:
        """Answers as ClickHouse does for these two statements."""

        def normal(self, sql: str) -> str | None:
            return sql

        def tree(self, sql: str) -> str:
            return "SelectWithUnionQuery (children 1)\n Function file (children 1)\n  Literal '/etc/passwd'\n"

    with pytest.raises(Refused, match="file"):
        permit("SELECT file('/etc/passwd')", "ensue", Parser(), frozenset())


def test_kill_waits_for_the_ordinals_statements(store: StoreProcess) -> None:
    """KILL QUERY over an ordinal's prefix answers, and the ordinal works on."""
    settings: ClickHouseSettings = store.settings()
    sink = StoreWriter(settings, 7)
    sink.take_lease()
    sink.end_statements()
    sink.save_progress({("probe", 9): 1})
    assert sink.progress()["probe", 9] == 1
    sink.close()
