"""What a PostgreSQL database says of itself, as far as reading its log depends on it. Data only."""

from collections.abc import Mapping
from dataclasses import dataclass

OPERATIONS = ("insert", "update", "delete", "truncate")  # as publications count them


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """A table that a source names.

    Attributes:
        kind: `relkind`: r is a table, p a partitioned one; v, m, f are none that a log tells of.
        persistence: `relpersistence`: p is logged, u and t are not.
        identity: `relreplident`: d the key, f the whole row, i an index, n nothing.
        has_key: Whether it has a primary key.
        readable: Whether our role may select from it, and use its schema.

    """

    kind: str
    persistence: str
    identity: str
    has_key: bool
    readable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A replication slot of our name.

    Attributes:
        wal_status: `lost` when the server threw away what it still needed.

    """

    plugin: str
    database: str
    active: bool
    wal_status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFacts:
    """A database and the role that asks.

    Attributes:
        version: `server_version_num`, 160014 for 16.14.
        system: The cluster's identifier, the same for ever.
        timeline: Another one after each promotion or restore.
        slots_free: Replication slots that may still be made; senders_free: connections for them.
        wal_keep_mb: max_slot_wal_keep_size; -1 for no limit.
        replication: Whether the role may read the log.
        publication: Tables of the publication of our name; None when there is none.
        publishes: Which of insert, update, delete, truncate it publishes.
        tables: Those that the source names, by `schema.table`; missing ones are not in it.
        others: Some tables that there are, for who misspelt one.

    """

    version: int
    database: str
    role: str
    system: str
    timeline: str
    standby: bool
    wal_level: str
    slots_free: int
    senders_free: int
    wal_keep_mb: int
    replication: bool
    publication: frozenset[str] | None
    publishes: frozenset[str]
    slot: Slot | None
    tables: Mapping[str, TableFacts]
    others: tuple[str, ...]
