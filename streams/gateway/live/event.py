"""An event on its way out: decoded once, its forms made once, whoever wants them."""

from functools import cached_property
from typing import Any

import orjson

from schemas.event import ID_LABEL, PREFECT_ID_LABEL, PREFECT_ROLE_LABEL, ROLE_LABEL, from_micros
from schemas.record import EventRecord

_LABELS_MAX = 500  # Prefect's client refuses more, and its subscriber ends at the first such event


class LiveEvent:
    """A record of the events log; one task at a time makes forms of it."""

    def __init__(self, record: EventRecord, *, partition: int, offset: int, size_bytes: int) -> None:
        self.record = record
        self.partition = partition
        self.offset = offset
        self.size_bytes = size_bytes

    @cached_property
    def resource(self) -> dict[str, str]:
        """Labels of the resource."""
        labels: dict[str, str] = orjson.loads(self.record.resource)
        return labels

    @cached_property
    def related(self) -> list[dict[str, str]]:
        """Labels of the related resources."""
        labels: list[dict[str, str]] = orjson.loads(self.record.related)
        return labels

    @cached_property
    def text(self) -> str:
        """Name, label values and payload in lower case, for a search by text."""
        values = [*self.resource.values(), *(value for one in self.related for value in one.values())]
        return "\n".join((self.record.event, *values, self.record.payload)).lower()

    @cached_property
    def ours(self) -> bytes:
        """JSON as `ensue events --json` shows it; on one line."""
        record = self.record
        return orjson.dumps(
            {
                "id": record.id,
                "event": record.event,
                "resource_id": record.resource_id,
                "occurred": _time(record.occurred),
                "received": _time(record.received),
                "resource": orjson.Fragment(record.resource),
                "related": orjson.Fragment(record.related),
                "payload": orjson.Fragment(record.payload),
                "source": record.source,
                "causation_id": record.causation_id,
                "correlation_id": record.correlation_id,
                "follows": record.follows,
                "replay_of": record.replay_of,
            }
        )

    @cached_property
    def prefects(self) -> str:
        """The frame of Prefect's /events/out; its client insists on its own names of id and role."""
        record = self.record
        event: dict[str, Any] = {
            "occurred": _time(record.occurred),
            "event": record.event,
            "resource": _labels(self.resource, PREFECT_ID_LABEL, ID_LABEL),
            "related": [
                _labels(_labels(one, PREFECT_ID_LABEL, ID_LABEL), PREFECT_ROLE_LABEL, ROLE_LABEL)
                for one in self.related
            ],
            "payload": orjson.Fragment(record.payload),
            "id": record.id,
            "follows": record.follows,
            "received": _time(record.received),
        }
        return orjson.dumps({"type": "event", "event": event}).decode()


def _labels(labels: dict[str, str], theirs: str, ours: str) -> dict[str, str]:
    if theirs in labels or ours not in labels:
        return labels
    rest = labels if len(labels) < _LABELS_MAX else {k: v for k, v in labels.items() if k != ours}
    return {theirs: labels[ours], **rest}


def _time(us: int) -> str:
    return from_micros(us).isoformat(timespec="microseconds").replace("+00:00", "Z")
