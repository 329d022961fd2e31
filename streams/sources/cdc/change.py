"""A change of a row as Debezium's envelope tells it, read strictly: what is missing is a sentence."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from streams.sources.cdc.names import row_of
from streams.sources.fields import Unusable, object_at, optional_at, text_at

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_MIN, _YEAR_MAX = 1900, 2299  # what the store can hold
OPERATIONS = {"c": "created", "u": "updated", "d": "deleted", "r": "read", "t": "truncated"}
_NO_SNAPSHOT = frozenset(("", "false", "incremental"))

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Which database's log it stands in; stamped on every record by the connector that we configure.

    Attributes:
        system: PostgreSQL's system identifier; empty for records of a connector that is not ours.
        timeline: Its timeline, another one after each promotion or restore.
        scope: Which snapshot its read rows belong to.

    """

    system: str = ""
    timeline: str = ""
    scope: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of one row.

    Attributes:
        operation: created, updated, deleted, read (by a snapshot) or truncated.
        server: The connector's own name of the database server (`topic.prefix`).
        key: The columns that name the row; empty when the table has no key.
        before: The row before, as far as the log has it; None for a new row and where the log has nothing.
        after: The row after; None for one that is gone.
        committed: When its transaction was committed, or the snapshot read it.
        lsn: Where it stands in the log; empty for a snapshot of other databases.
        transaction: The id that the database gave; empty when it gave none.
        order: Its number among the transaction's changes, from 1; 0 when it is not told.
        snapshot: Whether a snapshot read it.

    """

    operation: str
    connector: str
    server: str
    database: str
    schema: str
    table: str
    key: Row
    before: Row | None
    after: Row | None
    committed: datetime
    lsn: str
    transaction: str
    order: int
    snapshot: bool


def change_of(value: Any, key: Any, *, adjusted: bool) -> Change:
    """Return the change of a record's value and key, both as JSON; raises Unusable.

    Args:
        value: The envelope, or what JSON converters write around it (`schema` and `payload`).
        key: The same of the key; None for a table without one.
        adjusted: Whether column names are those of `avro_unicode`.

    """
    envelope = _payload(value)
    source = object_at(envelope, "source")
    letter = text_at(envelope, "op")
    operation = OPERATIONS.get(letter)
    if operation is None:
        raise Unusable(f"op {letter[:20]!r} is none of {', '.join(OPERATIONS)}")
    row = row_of if adjusted else dict
    before, after, named = (
        _row(found, row) for found in (envelope.get("before"), envelope.get("after"), _payload(key))
    )
    if (after is None) != (operation in {"deleted", "truncated"}):
        raise Unusable(f"op {letter} does not go with what stands in after")
    transaction = envelope.get("transaction")
    told = transaction if isinstance(transaction, Mapping) else {}
    order = told.get("total_order")
    return Change(
        operation=operation,
        connector=optional_at(source, "connector"),
        server=text_at(source, "name"),
        database=text_at(source, "db"),
        schema=optional_at(source, "schema"),
        table=text_at(source, "table"),
        key=named or {},
        before=before,
        after=after,
        committed=_time(source),
        lsn=optional_at(source, "lsn"),
        transaction=optional_at(source, "txId") or optional_at(told, "id"),
        order=order if isinstance(order, int) and not isinstance(order, bool) else 0,
        snapshot=str(source.get("snapshot") or "").lower() not in _NO_SNAPSHOT,
    )


def _payload(document: Any) -> Any:
    if isinstance(document, Mapping) and document.keys() == {"schema", "payload"}:
        return document["payload"]
    return document


def _row(found: Any, row: Any) -> Row | None:
    if found is None:
        return None
    if not isinstance(found, Mapping):
        raise Unusable("a row or key is no object")
    made: Row = row(found)
    return made


def _time(source: Mapping[str, Any]) -> datetime:
    """Return when it was committed, to the microsecond where the connector tells that."""
    for name, unit in (("ts_us", timedelta(microseconds=1)), ("ts_ms", timedelta(milliseconds=1))):
        number = source.get(name)
        if isinstance(number, int) and not isinstance(number, bool) and number > 0:
            try:
                at = _EPOCH + number * unit
            except OverflowError:
                break
            if _YEAR_MIN < at.year < _YEAR_MAX:
                return at
            break
    raise Unusable("source tells no time of the change (ts_us, ts_ms)")
