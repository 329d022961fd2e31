"""Asking a PostgreSQL database what `facts` holds."""

from collections.abc import Sequence
from typing import Any

from streams.cdc.facts import OPERATIONS, DatabaseFacts, Slot, TableFacts
from streams.errors import BadInput, Transport

_CONNECT_S = 5
_ANSWER_MS = 10_000

_SERVER = """
SELECT
    current_setting('server_version_num')::int, current_database(), current_user, pg_is_in_recovery(),
    current_setting('wal_level'),
    current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots),
    current_setting('max_wal_senders')::int - (SELECT count(*) FROM pg_stat_replication),
    (SELECT setting::int FROM pg_settings WHERE name = 'max_slot_wal_keep_size'),
    (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user)
"""
_TABLES = """
SELECT
    n.nspname || '.' || c.relname, c.relkind::text, c.relpersistence::text, c.relreplident::text,
    EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary),
    has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname || '.' || c.relname = ANY(%s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""
_OTHERS = """
SELECT n.nspname || '.' || c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    AND n.nspname NOT LIKE 'pg_toast%%' AND NOT c.relispartition
ORDER BY 1 LIMIT 20
"""
_PUBLICATION = """
SELECT pubinsert, pubupdate, pubdelete, pubtruncate,
    ARRAY(SELECT schemaname || '.' || tablename FROM pg_publication_tables WHERE pubname = %(name)s)
FROM pg_publication WHERE pubname = %(name)s
"""
_SLOT = """
SELECT plugin, coalesce(database, ''), active, coalesce(wal_status, '')
FROM pg_replication_slots WHERE slot_name = %s
"""


def database_facts(conninfo: str, *, tables: Sequence[str], slot: str, publication: str) -> DatabaseFacts:
    """Ask; blocks. Raises BadInput (refused: user, password, database) or Transport (does not answer)."""
    import psycopg

    try:
        with _connected(conninfo) as connection:
            server = _one(connection, _SERVER)
            published = _one(connection, _PUBLICATION, {"name": publication})
            there = _one(connection, _SLOT, (slot,))
            found = connection.execute(_TABLES, (list(tables),)).fetchall()
            others = connection.execute(_OTHERS).fetchall()
        system, timeline = _identified(conninfo) if server[8] else ("", "")
    except psycopg.Error as error:
        raise Transport(f"the database does not answer as it should: {_line(error)}") from error
    return DatabaseFacts(
        version=server[0],
        database=server[1],
        role=server[2],
        system=system,
        timeline=timeline,
        standby=server[3],
        wal_level=server[4],
        slots_free=server[5],
        senders_free=server[6],
        wal_keep_mb=server[7],
        replication=bool(server[8]),
        publication=None if published is None else frozenset(published[4]),
        publishes=frozenset(name for name, on in zip(OPERATIONS, published or (), strict=False) if on),
        slot=None
        if there is None
        else Slot(**dict(zip(("plugin", "database", "active", "wal_status"), there, strict=True))),
        tables={
            row[0]: TableFacts(
                kind=row[1], persistence=row[2], identity=row[3], has_key=row[4], readable=row[5]
            )
            for row in found
        },
        others=tuple(row[0] for row in others),
    )


def _connected(conninfo: str, **more: Any) -> Any:
    import psycopg

    try:
        return psycopg.connect(
            conninfo,
            autocommit=True,
            connect_timeout=_CONNECT_S,
            options=f"-c statement_timeout={_ANSWER_MS}",
            application_name="ensue",
            **more,
        )
    except psycopg.OperationalError as error:
        # Before there is a connection psycopg tells no SQLSTATE; the server's own words begin with FATAL.
        text = _line(error)
        if "FATAL" in text:
            raise BadInput(f"the database refuses us: {text.partition('FATAL:')[2].strip()}") from None
        raise Transport(f"the database does not answer: {text}") from error
    except psycopg.ProgrammingError as error:
        raise BadInput(f"the address of the database cannot be read: {_line(error)}") from None


def _identified(conninfo: str) -> tuple[str, str]:
    """Return system identifier and timeline, as every role that may replicate is told."""
    with _connected(conninfo, replication="database") as connection:
        result = connection.pgconn.exec_(b"IDENTIFY_SYSTEM")
        return result.get_value(0, 0).decode(), result.get_value(0, 1).decode()


def _one(connection: Any, sql: str, values: Any = None) -> Any:
    return connection.execute(sql, values).fetchone()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
