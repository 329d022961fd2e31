"""What the store takes from a request, and what it refuses."""

import base64
import gzip
import zlib

import lz4.frame
import pytest
import zstandard

from streams.store.engine import EngineError, with_settings
from streams.store.http_request import as_insert, decompress, is_writer, read_request
from streams.store.running import Running, kill_prefix

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "lz4", "zstd", ""])
def test_bodies_are_unpacked(encoding: str) -> None:
    """Every encoding that clients use gives the plain body back."""
    plain = b"INSERT INTO t FORMAT CSV\n1\n" * 100
    packed = {
        "gzip": gzip.compress(plain),
        "deflate": zlib.compress(plain),
        "lz4": lz4.frame.compress(plain),
        "zstd": zstandard.compress(plain),
        "": plain,
    }[encoding]
    assert decompress(packed, encoding, 1 << 20) == plain


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "lz4", "zstd"])
def test_a_small_body_cannot_become_a_large_one(encoding: str) -> None:
    """A body that unpacks beyond the bound is refused without unpacking all of it."""
    plain = bytes(50 << 20)
    packed = {
        "gzip": gzip.compress(plain, 1),
        "deflate": zlib.compress(plain, 1),
        "lz4": lz4.frame.compress(plain),
        "zstd": zstandard.compress(plain),
    }[encoding]
    with pytest.raises(EngineError, match="larger than"):
        decompress(packed, encoding, 1 << 20)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "lz4", "zstd", "br", "x"])
def test_garbage_is_refused(encoding: str) -> None:
    """Bytes that are not what the header says, and encodings unknown here, are the client's mistake."""
    with pytest.raises(EngineError):
        decompress(b"not packed at all", encoding, 1 << 20)


def test_who_asks() -> None:
    """The writer needs its secret, by header, by basic authentication or in the address."""
    basic = base64.b64encode(b"writer:secret").decode()
    assert is_writer({"x-clickhouse-user": "writer", "x-clickhouse-key": "secret"}, {}, "secret")
    assert is_writer({"authorization": f"Basic {basic}"}, {}, "secret")
    assert is_writer({}, {"user": "writer", "password": "secret"}, "secret")
    assert not is_writer({}, {}, "secret")
    assert not is_writer({"x-clickhouse-user": "reader"}, {}, "secret")
    for headers in (
        {"x-clickhouse-user": "writer", "x-clickhouse-key": "Secret"},
        {"x-clickhouse-user": "writer"},
        {"x-clickhouse-user": "root"},
        {"authorization": "Basic ???"},
    ):
        with pytest.raises(EngineError) as caught:
            is_writer(headers, {}, "secret")
        assert caught.value.code == 516


def test_statement_values_and_settings_are_taken_apart() -> None:
    """Query and body are joined, values and settings told from the transport's own names."""
    query = {
        "query": "INSERT INTO t FORMAT CSV",
        "param_a": "1",
        "max_threads": "2",
        "query_id": "q",
        "database": "ensue",
    }
    found = read_request(writer=True, query=query, headers={}, body=b"1,2\n")
    assert (found.text, found.parameters, found.settings, found.query_id) == (
        b"INSERT INTO t FORMAT CSV\n1,2\n",
        {"a": "1"},
        {"max_threads": "2"},
        "q",
    )
    with pytest.raises(EngineError):
        read_request(writer=True, query={"a b": "1"}, headers={}, body=b"")


def test_inserts_are_told_from_statements() -> None:
    """An INSERT with a format has its data behind it, whatever bytes those are."""
    insert = as_insert(b"insert into t (a, b) format Native\n\x01\x00\n FORMAT x")
    assert insert is not None
    assert (insert.statement, insert.data_format, insert.data) == (
        "insert into t (a, b)",
        "Native",
        b"\x01\x00\n FORMAT x",
    )
    assert as_insert(b"SELECT 1 FORMAT CSV") is None
    assert as_insert(b"INSERT INTO t SELECT 1") is None
    assert with_settings("INSERT INTO t", {"a": "it's"}) == "INSERT INTO t SETTINGS a='it\\'s'"


def test_kill_drops_what_waits() -> None:
    """Statements of the prefix that have not begun are never run; others are."""
    running = Running()
    assert kill_prefix("KILL QUERY WHERE startsWith(query_id, 'sink.0.') SYNC") == "sink.0."
    assert kill_prefix("KILL QUERY WHERE 1") is None
    with running.waiting("sink.0.1.a") as mine, running.waiting("sink.1.1.a") as other:
        assert running.kill("sink.0.") == [("finished", "sink.0.1.a")]
        with pytest.raises(EngineError, match="cancelled"):
            running.start(mine)
        running.start(other)
