"""A real PostgreSQL is asked what is missing; the SQL that is told mends it, each piece in turn."""

import json
from collections.abc import Iterator

import psycopg
import pytest
from typer.testing import CliRunner

from streams.cdc.database import database_facts
from streams.cdc.findings import Finding, findings
from streams.cli.app import app
from streams.errors import BadInput, Transport
from streams.local.ports import choose_port
from tests.connected.postgres import LocalPostgres

pytestmark = [pytest.mark.connected, pytest.mark.timeout(120)]

TABLES = ("public.orders", "shop.Odd Names")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    """A server that knows nothing of us: no logical log, a role that may nothing, tables by default."""
    made = LocalPostgres(tmp_path_factory.mktemp("pg") / "data", choose_port(), {"wal_level": "replica"})
    made.start()
    try:
        with psycopg.connect(made.conninfo(), autocommit=True) as connection:
            connection.execute("CREATE ROLE dbz LOGIN")
            connection.execute("CREATE DATABASE other")
            connection.execute("CREATE SCHEMA shop")
            connection.execute("CREATE TABLE orders (id int PRIMARY KEY, status text)")
            connection.execute('CREATE UNLOGGED TABLE shop."Odd Names" (n int)')
        yield made
    finally:
        made.remove()


def found(server: LocalPostgres, *tables: str) -> list[Finding]:
    """What the role dbz is told."""
    tables = tables or TABLES
    names = {"slot": "ensue_shop", "publication": "ensue_shop"}
    facts = database_facts(server.conninfo("dbz"), tables=tables, **names)
    return findings(facts, tables=tables, **names)


def test_what_is_told_mends_it(server: LocalPostgres) -> None:
    """A superuser runs the SQL as it stands, restarts where that is said, and nothing is left to say."""
    first = found(server)
    assert {one.text.partition(":")[0] for one in first} == {
        "wal_level is replica",
        "max_slot_wal_keep_size is unlimited",
        "role dbz may not read the log",
        "role dbz may not select from public.orders, which the snapshot needs",
        "REPLICA IDENTITY of public.orders is not FULL",
        "shop.Odd Names is unlogged",
        "role dbz may not select from shop.Odd Names, which the snapshot needs",
        "shop.Odd Names has no replica identity",
        "publication ensue_shop is missing",
    }
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        for one in first:
            for statement in one.sql.split("; "):
                connection.execute(statement)  # type: ignore[call-overload]
    # What we gave on the command line wins over ALTER SYSTEM: start without it.
    server.stop()
    again = LocalPostgres(server._folder, server.port)
    again.start()
    try:
        assert found(again) == []
        facts = database_facts(again.conninfo("dbz"), tables=TABLES, slot="s", publication="ensue_shop")
        assert facts.system.isdecimal()
        assert facts.timeline == "1"
        assert facts.publication == frozenset(TABLES)
        with psycopg.connect(again.conninfo(database="other"), autocommit=True) as connection:
            connection.execute("SELECT pg_create_logical_replication_slot('ensue_shop', 'pgoutput')")
            (foreign,) = found(again)
            assert "slot ensue_shop belongs to database other, not to postgres" in foreign.text
            connection.execute("SELECT pg_drop_replication_slot('ensue_shop')")
    finally:
        again.stop()
        server.start()


def test_a_misspelt_table_is_told_beside_those_that_there_are(server: LocalPostgres) -> None:
    """The list helps whoever mistyped."""
    (missing,) = [one for one in found(server, "public.order") if one.text.startswith("there is no table")]
    assert missing.text == "there is no table public.order; there are public.orders, shop.Odd Names"


def test_why_a_database_does_not_let_us_in(server: LocalPostgres) -> None:
    """A wrong user, a wrong database, a wrong address and no address are told apart."""
    names = {"tables": TABLES, "slot": "s", "publication": "p"}
    with pytest.raises(BadInput, match='the database refuses us: role "nobody" does not exist'):
        database_facts(server.conninfo("nobody"), **names)
    with pytest.raises(BadInput, match='refuses us: database "gone" does not exist'):
        database_facts(server.conninfo("dbz", "gone"), **names)
    with pytest.raises(Transport, match=r"does not answer: .*127\.0\.0\.1"):
        database_facts("postgresql://dbz@127.0.0.1:1/shop", **names)
    with pytest.raises(BadInput, match="cannot be read"):
        database_facts("no address", **names)


def test_the_command_says_it_in_one_screen(server: LocalPostgres) -> None:
    """Exit code 1 and the SQL where something is missing; a table without its schema is a mistake."""
    ask = ["sources", "check-database", server.conninfo("dbz"), "--tables"]
    told = CliRunner().invoke(app, [*ask, "public.orders", "--publication", "gone"])
    assert told.exit_code == 1, told.output
    assert 'CREATE PUBLICATION "gone" FOR TABLE "public"."orders";' in told.output
    document = json.loads(CliRunner().invoke(app, [*ask, ",".join(TABLES), "--json"]).output)
    assert (document["database"], document["role"], document["ready"]) == ("postgres", "dbz", False)
    assert {one["restart"] for one in document["findings"]} == {True, False}
    with pytest.raises(BadInput, match=r"'orders' is no schema\.table; write public\.orders"):
        CliRunner().invoke(app, [*ask, "orders"], catch_exceptions=False)
