"""What is missing in a database before its changes can be read, each with the SQL that mends it. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from streams.cdc.facts import OPERATIONS, DatabaseFacts, Slot, TableFacts

OLDEST = 140000  # pgoutput with messages, which the heartbeat needs
PLUGIN = "pgoutput"
_KEEP = "10GB"
_LISTED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        text: What, and what would come of it.
        sql: What mends it; empty where no SQL does.
        fatal: Whether nothing can be read before it is mended.
        restart: Whether the server must be started again afterwards.

    """

    text: str
    sql: str = ""
    fatal: bool = True
    restart: bool = False


def findings(facts: DatabaseFacts, *, tables: Sequence[str], slot: str, publication: str) -> list[Finding]:
    """Return all that is wrong, what the server itself lacks first."""
    found = [*_server(facts, slot), *_role(facts)]
    for name in tables:
        found += _table(facts, name)
    found += _publication(facts, tables, publication)
    if facts.slot is not None:
        found += _slot(facts, facts.slot, slot)
    return found


def _server(facts: DatabaseFacts, slot: str) -> Iterator[Finding]:
    if facts.version < OLDEST:
        yield Finding(text=f"PostgreSQL {facts.version // 10000} is too old; 14 is the oldest that is read")
    if facts.standby:
        yield Finding(
            text="the server is a standby; name the primary, where slots outlive a failover's start"
        )
    if facts.wal_level != "logical":
        yield Finding(
            text=f"wal_level is {facts.wal_level}: the log does not tell of rows",
            sql="ALTER SYSTEM SET wal_level = 'logical';",
            restart=True,
        )
    for what, free in (("max_replication_slots", facts.slots_free), ("max_wal_senders", facts.senders_free)):
        if free < 1 and facts.slot is None:
            yield Finding(
                text=f"{what} is used up: slot {slot} could not be made",
                sql=f"ALTER SYSTEM SET {what} = '20';",
                restart=True,
            )
    if facts.wal_keep_mb < 0:
        yield Finding(
            text="max_slot_wal_keep_size is unlimited: a source that stands still could fill the disk",
            sql=f"ALTER SYSTEM SET max_slot_wal_keep_size = '{_KEEP}'; SELECT pg_reload_conf();",
            fatal=False,
        )


def _role(facts: DatabaseFacts) -> Iterator[Finding]:
    if not facts.replication:
        yield Finding(
            text=f"role {facts.role} may not read the log",
            sql=f"ALTER ROLE {quoted(facts.role)} REPLICATION;",
        )


def _table(facts: DatabaseFacts, name: str) -> Iterator[Finding]:
    table = facts.tables.get(name)
    if table is None:
        shown = ", ".join(facts.others[:_LISTED])
        yield Finding(text=f"there is no table {name}" + (f"; there are {shown}" if shown else ""))
        return
    if table.kind not in {"r", "p"}:
        yield Finding(text=f"{name} is no table; the log tells of tables only")
        return
    if table.persistence != "p":
        yield Finding(
            text=f"{name} is unlogged: the log does not tell of it",
            sql=f"ALTER TABLE {quoted_table(name)} SET LOGGED;",
        )
    if not table.readable:
        schema = quoted(name.partition(".")[0])
        role = quoted(facts.role)
        yield Finding(
            text=f"role {facts.role} may not select from {name}, which the snapshot needs",
            sql=f"GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT ON {quoted_table(name)} TO {role};",
        )
    yield from _identity(name, table)


def _identity(name: str, table: TableFacts) -> Iterator[Finding]:
    full = f"ALTER TABLE {quoted_table(name)} REPLICA IDENTITY FULL;"
    if table.identity == "n" or (table.identity == "d" and not table.has_key):
        yield Finding(
            text=f"{name} has no replica identity: once published, its updates and deletes would fail",
            sql=full,
        )
    elif table.identity != "f":
        yield Finding(
            text=f"REPLICA IDENTITY of {name} is not FULL: an update comes without the row before, so that "
            "triggers on changed columns cannot tell what changed",
            sql=full,
            fatal=False,
        )


def _publication(facts: DatabaseFacts, tables: Sequence[str], publication: str) -> Iterator[Finding]:
    there = [name for name in tables if name in facts.tables]
    if facts.publication is None:
        listed = ", ".join(map(quoted_table, there or tables))
        yield Finding(
            text=f"publication {publication} is missing",
            sql=f"CREATE PUBLICATION {quoted(publication)} FOR TABLE {listed};",
        )
        return
    missing = [name for name in there if name not in facts.publication]
    if missing:
        listed = ", ".join(map(quoted_table, missing))
        yield Finding(
            text=f"publication {publication} does not publish {', '.join(missing)}",
            sql=f"ALTER PUBLICATION {quoted(publication)} ADD TABLE {listed};",
        )
    silent = [one for one in OPERATIONS if one not in facts.publishes]
    if silent:
        yield Finding(
            text=f"publication {publication} says nothing of {', '.join(silent)}",
            sql=f"ALTER PUBLICATION {quoted(publication)} SET (publish = '{', '.join(OPERATIONS)}');",
            fatal=False,
        )


def _slot(facts: DatabaseFacts, found: Slot, name: str) -> Iterator[Finding]:
    drop = f"SELECT pg_drop_replication_slot('{name}');"
    if found.plugin != PLUGIN:
        yield Finding(text=f"slot {name} belongs to somebody else (plugin {found.plugin}); name another slot")
    elif found.database != facts.database:
        yield Finding(
            text=f"slot {name} belongs to database {found.database or '?'}, not to {facts.database}; "
            "name another slot"
        )
    elif found.wal_status == "lost":
        yield Finding(
            text=f"slot {name} is lost: the server has thrown away what was not read yet. What happened "
            "since is in the tables only; drop the slot, and a new snapshot tells what they hold now",
            sql=drop,
        )


def quoted(name: str) -> str:
    """Return a name as SQL has it, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def quoted_table(name: str) -> str:
    """Return `schema.table` as SQL has it."""
    schema, _, table = name.partition(".")
    return f"{quoted(schema)}.{quoted(table)}"
