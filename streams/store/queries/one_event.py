"""One stored event, whole."""

import json
from datetime import datetime

from schemas.event import Event
from streams.store.queries.reader import StoreReader


def stored_event(store: StoreReader, event_id: str) -> Event | None:
    """Return the event of an id (36-character text), None when it is not stored (yet).

    Raises Transport and Overload.
    """
    rows = store.rows("event_by_id", {"id": event_id})
    if not rows:
        return None
    row = rows[0]
    return Event(
        id=row["id"],
        event=row["event"],
        resource_id=row["resource_id"],
        occurred=datetime.fromisoformat(row["occurred"]),
        received=datetime.fromisoformat(row["received"]),
        resource=json.loads(row["resource_text"]),
        related=tuple(json.loads(row["related"])),
        payload=json.loads(row["payload"]),
        source=row["source"],
        causation_id=row["causation_id"],
        correlation_id=row["correlation_id"],
        follows=row["follows"],
        replay_of=row["replay_of"],
        depth=row["depth"],
    )
