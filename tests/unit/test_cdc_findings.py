"""What is missing in a database is said with the SQL that mends it; what is in order is not mentioned."""

from dataclasses import replace
from typing import Any

import pytest

from streams.cdc.facts import DatabaseFacts, Slot, TableFacts
from streams.cdc.findings import Finding, findings

pytestmark = pytest.mark.unit
ORDERS = TableFacts(kind="r", persistence="p", identity="f", has_key=True, readable=True)
READY = DatabaseFacts(
    version=160014,
    database="shop",
    role="dbz",
    system="7431",
    timeline="1",
    standby=False,
    wal_level="logical",
    slots_free=3,
    senders_free=3,
    wal_keep_mb=10_240,
    replication=True,
    publication=frozenset({"public.orders"}),
    publishes=frozenset({"insert", "update", "delete", "truncate"}),
    slot=None,
    tables={"public.orders": ORDERS},
    others=("public.orders", "public.users"),
)
SLOT = Slot(plugin="pgoutput", database="shop", active=False, wal_status="reserved")


def of(facts: DatabaseFacts, *tables: str) -> list[Finding]:
    """The findings."""
    return findings(facts, tables=tables or ("public.orders",), slot="ensue_shop", publication="ensue_shop")


def test_a_database_that_is_ready_has_no_finding() -> None:
    """With and without its slot."""
    assert of(READY) == []
    assert of(replace(READY, slot=SLOT)) == []


CASES: dict[str, tuple[dict[str, Any], str, str, bool]] = {
    "version": ({"version": 130020}, "PostgreSQL 13 is too old", "", True),
    "standby": ({"standby": True}, "is a standby", "", True),
    "wal_level": ({"wal_level": "replica"}, "wal_level is replica", "SET wal_level = 'logical';", True),
    "slots": ({"slots_free": 0}, "max_replication_slots is used up", "SET max_replication_slots", True),
    "senders": ({"senders_free": 0}, "max_wal_senders is used up", "SET max_wal_senders", True),
    "disk": ({"wal_keep_mb": -1}, "could fill the disk", "max_slot_wal_keep_size = '10GB'", False),
    "role": ({"replication": False}, "dbz may not read the log", 'ALTER ROLE "dbz" REPLICATION;', True),
    "publication": (
        {"publication": None},
        "publication ensue_shop is missing",
        'CREATE PUBLICATION "ensue_shop" FOR TABLE "public"."orders";',
        True,
    ),
    "published": (
        {"publication": frozenset({"public.users"})},
        "does not publish public.orders",
        'ALTER PUBLICATION "ensue_shop" ADD TABLE "public"."orders";',
        True,
    ),
    "operations": (
        {"publishes": frozenset({"insert"})},
        "says nothing of update, delete, truncate",
        "SET (publish = 'insert, update, delete, truncate');",
        False,
    ),
    "foreign slot": ({"slot": replace(SLOT, plugin="wal2json")}, "belongs to somebody else", "", True),
    "elsewhere": ({"slot": replace(SLOT, database="other")}, "belongs to database other", "", True),
    "lost": (
        {"slot": replace(SLOT, wal_status="lost")},
        "slot ensue_shop is lost",
        "SELECT pg_drop_replication_slot('ensue_shop');",
        True,
    ),
    "no table": (
        {"tables": {}},
        "there is no table public.orders; there are public.orders, public.users",
        "",
        True,
    ),
    "a view": ({"tables": {"public.orders": replace(ORDERS, kind="v")}}, "is no table", "", True),
    "unlogged": (
        {"tables": {"public.orders": replace(ORDERS, persistence="u")}},
        "is unlogged",
        'ALTER TABLE "public"."orders" SET LOGGED;',
        True,
    ),
    "unreadable": (
        {"tables": {"public.orders": replace(ORDERS, readable=False)}},
        "may not select from public.orders",
        'GRANT SELECT ON "public"."orders" TO "dbz";',
        True,
    ),
    "no identity": (
        {"tables": {"public.orders": replace(ORDERS, identity="d", has_key=False)}},
        "its updates and deletes would fail",
        'ALTER TABLE "public"."orders" REPLICA IDENTITY FULL;',
        True,
    ),
    "key only": (
        {"tables": {"public.orders": replace(ORDERS, identity="d")}},
        "is not FULL: an update comes without the row before",
        'ALTER TABLE "public"."orders" REPLICA IDENTITY FULL;',
        False,
    ),
}


@pytest.mark.parametrize("what", CASES)
def test_each_lack_is_said_with_its_remedy(what: str) -> None:
    """One finding for one fault: the sentence, the SQL, and whether it stops us."""
    changes, text, sql, fatal = CASES[what]
    (found,) = of(replace(READY, **changes))
    assert text in found.text
    assert (sql in found.sql) if sql else not found.sql
    assert found.fatal == fatal


def test_names_are_quoted_and_a_restart_is_told() -> None:
    """No name of a table or role can break out of its SQL."""
    odd = 'pub"lic.or"ders; DROP'
    (missing, publication) = of(replace(READY, publication=None, tables={}), odd)
    assert odd in missing.text
    assert publication.sql == 'CREATE PUBLICATION "ensue_shop" FOR TABLE "pub""lic"."or""ders; DROP";'
    (level,) = of(replace(READY, wal_level="minimal"))
    assert level.restart
