"""An event as the core reads it: the record with its labels parsed once."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from schemas.record import EventRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """A record and its labels."""

    record: EventRecord
    resource: Mapping[str, str]
    related: tuple[Mapping[str, str], ...]


def view(record: EventRecord) -> EventView:
    """Return the view of a record; raises ValueError when its labels are not JSON."""
    related = json.loads(record.related) if record.related not in ("", "[]") else ()
    return EventView(
        record=record,
        resource=json.loads(record.resource) if record.resource else {},
        related=tuple(related),
    )
