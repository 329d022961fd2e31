"""An event that a run emits: checked as the gateway checks posted ones, and marked as the run's."""

from dataclasses import replace

from schemas.event import Event
from schemas.event_record import to_record
from schemas.record import EventRecord, RunRequest
from streams.errors import BadInput

RESOURCE_ID_CHARS_MAX = 8192
NAME_CHARS_MAX = 1024
LABELS_MAX = 500
RELATED_MAX = 100
_YEAR_MIN, _YEAR_MAX = 1900, 2299  # what the store's times can hold


def emitted(event: Event, request: RunRequest, now_us: int) -> EventRecord:
    """Return the record of an event of the run of `request`; raises BadInput with the field at fault."""
    fault = _fault(event)
    if fault:
        raise BadInput(f"event {event.event!r:.100} cannot be emitted: {fault}")
    try:
        record = to_record(event)
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
