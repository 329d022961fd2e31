"""Lists for CLI and console: newest first, filtered, bounded."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from streams.errors import BadInput
from streams.store.queries.reader import Row, StoreReader

LIMIT_MAX = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FAR = datetime(2200, 1, 1, tzinfo=UTC)
_PREFIX = re.compile(r"[0-9a-fA-F-]{0,36}")
_JSON_FIELDS = frozenset(
    (
        "related",
        "payload",
        "reason",
        "parameters",
        "result",
        "error",
        "definition",
        "flow_definition",
        "headers",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What to list; empty means all.

    Attributes:
        event: Glob over the event name (`storage.*`).
        resource: Glob over the resource id.
        flow: Flow name.
        trigger: Trigger name.
        state: Of a run; the verdict of verdicts.
        since: Included.
        until: Left out.
        id_prefix: Start of the id.
        limit: Rows at most, up to 10,000.

    """

    event: str = ""
    resource: str = ""
    flow: str = ""
    trigger: str = ""
    state: str = ""
    since: datetime | None = None
    until: datetime | None = None
    id_prefix: str = ""
    limit: int = 50


def list_events(store: StoreReader, wanted: Filter) -> list[Row]:
    """Return events by `occurred`; labels, related and payload as JSON values."""
    return _list(store, "list_events", wanted)


def list_verdicts(store: StoreReader, wanted: Filter) -> list[Row]:
    """Return verdicts by the log time of their candidate."""
    return _list(store, "list_verdicts", wanted)


def list_runs(store: StoreReader, wanted: Filter) -> list[Row]:
    """Return runs in their latest state by the time they were requested."""
    return _list(store, "list_runs", wanted)


def list_triggers(store: StoreReader, wanted: Filter) -> list[Row]:
    """Return versions of triggers, removed ones too."""
    return _list(store, "list_triggers", wanted)


def _list(store: StoreReader, name: str, wanted: Filter) -> list[Row]:
    if not 1 <= wanted.limit <= LIMIT_MAX:
        raise BadInput(f"limit is {wanted.limit}; give 1 to {LIMIT_MAX}.")
    if not _PREFIX.fullmatch(wanted.id_prefix):
        raise BadInput(f"{wanted.id_prefix!r} is not the start of an id.")
    values = {
        "event": glob_as_like(wanted.event),
        "resource": glob_as_like(wanted.resource),
        "flow": wanted.flow,
        "trigger": wanted.trigger,
        "state": wanted.state,
        "since": time_value(wanted.since, end=False),
        "until": time_value(wanted.until, end=True),
        "prefix": wanted.id_prefix.lower(),
        "limit": wanted.limit,
    }
    return [decoded(row) for row in store.rows(name, values)]


def decoded(row: Row) -> Row:
    """Return a row with its JSON texts as values; text that is no JSON stays text."""
    return {key: _json(value) if key in _JSON_FIELDS else value for key, value in row.items()}


def _json(value: Any) -> Any:
    if not isinstance(value, str) or not value:
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def glob_as_like(glob: str) -> str:
    """Return a LIKE pattern for `*` and `?`; everything for the empty glob."""
    if not glob:
        return "%"
    escaped = glob.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")


def time_value(at: datetime | None, *, end: bool) -> str:
    """Return a bound as ClickHouse takes it; without one the `end`, or else the beginning, of all times."""
    at = at or (_FAR if end else _EPOCH)
    if at.tzinfo is None:
        raise BadInput(f"{at} has no time zone; write for example 2026-03-01T00:00:00Z.")
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
