"""An event that a run emits: checked as the gateway checks posted ones, and marked as the run's."""

import json
from collections.abc import Mapping
from dataclasses import replace

from schemas.event import Event
from schemas.event_record import to_record
from schemas.event_type import EventType
from schemas.misfit import Misfit
from schemas.record import EventRecord, RunRequest
from streams.errors import BadInput

RESOURCE_ID_CHARS_MAX = 8192
NAME_CHARS_MAX = 1024
LABELS_MAX = 500
RELATED_MAX = 100
_YEAR_MIN, _YEAR_MAX = 1900, 2299  # what the store's times can hold


def emitted(
    event: Event, request: RunRequest, now_us: int, types: Mapping[str, EventType] | None = None
) -> EventRecord:
    """Return the record of an event of the run of `request`; raises BadInput with the field at fault.

    `types` are the names whose payloads have a schema: a run is held to it as a sender at the door is.
    """
    fault = _fault(event)
    if fault:
        raise BadInput(f"event {event.event!r:.100} cannot be emitted: {fault}")
    kind = (types or {}).get(event.event)
    try:
        record = to_record(event)
        if kind is not None:
            kind.check(json.loads(record.payload))
    except Misfit as misfit:
        field = f"payload.{misfit.path}" if misfit.path else "payload"
        raise BadInput(
            f"event {event.event} cannot be emitted: {field} {misfit.reason} (its schema, version "
            f"{kind.newest.number if kind else 0})"
        ) from None
    except (ValueError, TypeError) as error:
        raise BadInput(f"event {event.event!r:.100} cannot be emitted: it is not JSON: {error}") from error
    return replace(
        record,
        received=now_us,
        source=f"flow:{request.flow}",
        causation_id=request.id,
        correlation_id=request.correlation_id,
        depth=request.depth,
    )


def _fault(event: Event) -> str:
    if not 0 < len(event.event) <= NAME_CHARS_MAX or not event.event.isprintable():
        return f"its name must be 1 to {NAME_CHARS_MAX} printable characters"
    if not 0 < len(event.resource_id) <= RESOURCE_ID_CHARS_MAX:
        return f"the id of its resource must have 1 to {RESOURCE_ID_CHARS_MAX} characters"
    if not _YEAR_MIN < event.occurred.year < _YEAR_MAX:
        return f"it occurred in the year {event.occurred.year}, which no table of ours holds"
    if len(event.related) > RELATED_MAX:
        return f"it has {len(event.related)} related resources, {RELATED_MAX} are the most"
    if any(len(labels) > LABELS_MAX for labels in (event.resource, *event.related)):
        return f"a resource has more than {LABELS_MAX} labels"
    return ""
