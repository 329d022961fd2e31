"""Dead letters with what became of them; nothing is changed, actions are events."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from streams.errors import BadInput
from streams.store.queries.lists import LIMIT_MAX, decoded, time_value
from streams.store.queries.reader import Row, StoreReader

STATES = ("open", "retried", "dropped")
RESOURCE = "ensue://dead-letter/"
_PREFIX = re.compile(r"[0-9a-fA-F-]{4,36}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFilter:
    """Which dead letters to list; empty means all.

    Attributes:
        source: Name of a source, or the topic it lay in.
        stage: One of `schemas.dead_letter.Stage`.
        reason: One of `schemas.dead_letter.Reason`.
        state: open, retried or dropped.
        since: Included.
        until: Left out.
        limit: Rows at most, up to 10,000.

    """

    source: str = ""
    stage: str = ""
    reason: str = ""
    state: str = ""
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 50


def list_dead_letters(store: StoreReader, wanted: LetterFilter) -> list[Row]:
    """Return dead letters, newest first, without their bytes."""
    if not 1 <= wanted.limit <= LIMIT_MAX:
        raise BadInput(f"limit is {wanted.limit}; give 1 to {LIMIT_MAX}.")
    values = {
        "source": wanted.source,
        "stage": wanted.stage,
        "reason": wanted.reason,
        "state": wanted.state,
        "since": time_value(wanted.since, end=False),
        "until": time_value(wanted.until, end=True),
        "limit": wanted.limit,
    }
    return store.rows("list_dead_letters", values)


def find_dead_letter(store: StoreReader, prefix: str) -> Row | None:
    """Return the dead letter whose id begins so, its bytes as base64, with its history; None: there is none.

    Raises BadInput for a start that fits several.
    """
    if not _PREFIX.fullmatch(prefix):
        raise BadInput(f"{prefix!r} is not the start of an id; give at least 4 of its characters.")
    rows = store.rows("find_dead_letters", {"prefix": prefix.lower()})
    if len(rows) > 1:
        raise BadInput(f"{prefix} fits {', '.join(row['id'] for row in rows)}; give more of it.")
    if not rows:
        return None
    history = [
        _action(row) for row in store.rows("dead_letter_actions", {"resource": RESOURCE + rows[0]["id"]})
    ]
    edits = [one["body_b64"] for one in history if one["action"] == "edited"]
    return {**decoded(rows[0]), "edited_b64": edits[-1] if edits else None, "history": history}


def _action(row: Row) -> dict[str, Any]:
    return {"id": row["id"], "at": row["at"], "action": row["action"], **json.loads(row["payload"])}
