"""A change of a row as our event: name, identity, labels, payload."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from schemas.event import ID_LABEL, Event
from schemas.identity import derived_id
from streams.sources.cdc.change import Change, Origin, Row
from streams.sources.cdc.unchanged import Placeholder
from streams.sources.fields import Unusable
from streams.strict_json import dumps

KIND = "cdc"
_PLACE_CHARS_MAX = 8192
_SCHEMES = {"postgresql": "postgres"}


def row_event(change: Change, origin: Origin, placeholder: Placeholder, source: str) -> Event:
    """Return the event; the same change gives the same event however often it is read. Raises Unusable."""
    after, missing = placeholder.filled(change.after, change.before)
    before, _ = placeholder.filled(change.before, None)
    place = place_of(change)
    if len(place) > _PLACE_CHARS_MAX:
        raise Unusable(f"the row's key has more than {_PLACE_CHARS_MAX} characters")
    labels = {
        ID_LABEL: place,
        "provider": provider_of(change),
        "server": change.server,
        "database": change.database,
        "schema": change.schema,
        "table": change.table,
        "key": _key_text(change.key),
        "op": change.operation,
    }
    payload: dict[str, Any] = {
        "before": before,
        "after": after,
        "changed": _changed(change.operation, before, after, missing),
        "lsn": change.lsn or None,
        "transaction": {"id": change.transaction or None, "order": change.order or None},
        "snapshot": change.snapshot,
    }
    if missing:
        payload["unavailable"] = missing
    ms = int(change.committed.timestamp() * 1000)
    number = derived_id(KIND, *_identity(change, origin), ms=0 if change.snapshot else ms)
    name = "table.truncated" if change.operation == "truncated" else f"table.row.{change.operation}"
    return Event(
        id=number,
        event=name,
        resource_id=place,
        resource={name: value for name, value in labels.items() if value},
        occurred=change.committed,
        payload=payload,
        source=source,
        correlation_id=number,
    )


def provider_of(change: Change) -> str:
    """Return the value of the label `provider`."""
    return _SCHEMES.get(change.connector, change.connector) or "debezium"


def place_of(change: Change) -> str:
    """Return the resource id: a row, or the table where the row has no key."""
    parts = (change.server, change.database, change.schema, change.table)
    place = f"{provider_of(change)}://" + "/".join(quote(part, safe="") for part in parts if part)
    if change.operation == "truncated" or not change.key:
        return place
    return f"{place}/" + ",".join(_named(name, value, change.key) for name, value in change.key.items())


def _named(name: str, value: Any, key: Row) -> str:
    text = quote(_text(value), safe=":@+ ")
    return text if len(key) == 1 else f"{quote(name, safe='')}={text}"


def _key_text(key: Row) -> str:
    if len(key) == 1:
        (value,) = key.values()
        return _text(value)
    return _text(key) if key else ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else dumps(value).decode()


def _changed(operation: str, before: Row | None, after: Row | None, missing: list[str]) -> list[str] | None:
    """Return the columns whose values differ; None where the log does not have the row before."""
    if operation != "updated":
        return []
    if before is None or after is None:
        return None
    columns = {**after, **before}
    return [name for name in columns if name not in missing and before.get(name) != after.get(name)]


def _identity(change: Change, origin: Origin) -> tuple[str | int | None, ...]:
    """Return what no other change has (DESIGN 5.14)."""
    where = (origin.system or change.server, origin.timeline, change.database)
    table = (change.schema, change.table)
    if change.snapshot or change.operation == "read":
        row: Mapping[str, Any] = {"key": change.key, "after": change.after}
        return (*where, "snapshot", origin.scope, *table, dumps(row).decode())
    if change.order:
        return (*where, change.transaction, change.order)
    if not change.lsn:
        raise Unusable("the record tells neither its place in a transaction nor its place in the log")
    # Without transaction metadata (another's connector) the row tells changes of one lsn apart.
    return (
        *where,
        change.transaction,
        change.lsn,
        *table,
        change.operation,
        dumps(dict(change.key)).decode(),
    )
