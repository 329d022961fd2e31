"""One posted event: its fields checked, its record written."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from schemas.carried_payload import typed_part
from schemas.dead_letter import Reason
from schemas.event import DEPTH_MAX, ID_LABEL, PREFECT_ID_LABEL, PREFECT_ROLE_LABEL, ROLE_LABEL, Event, micros
from schemas.event_record import to_record
from schemas.event_type import EventType, EventTypes
from schemas.misfit import Misfit
from schemas.shard import shard
from streams.gateway.avro_event import encode_event, micros_bytes
from streams.gateway.ids import canonical_id
from streams.gateway.ports import Row
from streams.settings import LimitSettings
from streams.strict_json import dumps

RESOURCE_ID_CHARS_MAX = 8192  # a path of Linux has at most 4,096 bytes
PAYLOAD = "payload"
RESERVED = "ensue."  # what Ensue says of itself; nobody else may say it
_FIELDS = frozenset(
    {
        "id",
        "event",
        "resource",
        "related",
        "payload",
        "occurred",
        "follows",
        "causation_id",
        "correlation_id",
        "depth",
    }
)
_TEXT_ONLY = {str}
_YEAR_MIN, _YEAR_MAX = 1900, 2299  # what DateTime64 in the store can hold
_KEYS_CACHED = 16_384


class ItemRefused(ValueError):
    """An event that cannot be taken: which field, and why; `letter` is the reason of its dead letter."""

    def __init__(
        self, field: str, reason: str, *, status: int = 422, letter: Reason = Reason.UNUSABLE_RECORD
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.field = field
        self.reason = reason
        self.letter = Reason.TOO_LARGE if status == 413 else letter


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Makes rows for the events topic.

    Attributes:
        header: The 5 framing bytes of our version of the event schema.
        partitions: Of the events topic.
        limits: What is refused.
        types: Names whose payloads have a schema.

    """

    header: bytes
    partitions: int
    limits: LimitSettings
    types: EventTypes = field(default_factory=EventTypes)

    def row_of(self, event: Event, *, received_us: int | None = None) -> Row:
        """Return the row of an event that our own code made; raises ItemRefused when it is too large.

        `received_us` is when it came in, where the event itself does not tell.
        """
        if type(event.payload) is not dict:
            event = replace(event, payload=json.loads(to_record(event).payload))
        key = event.resource_id
        key_bytes = key.encode()
        at_us = micros(event.received or event.occurred) if received_us is None else received_us
        value = encode_event(
            self.header,
            id_text=event.id.encode(),
            event=event.event.encode(),
            resource_id=key_bytes,
            occurred=micros_bytes(micros(event.occurred)),
            received=micros_bytes(at_us),
            resource=dumps(dict(event.resource)),
            related=dumps([dict(labels) for labels in event.related]) if event.related else b"[]",
            payload=dumps(event.payload),
            source=event.source.encode(),
            causation_id=event.causation_id,
            correlation_id=event.correlation_id.encode(),
            follows=event.follows,
            replay_of=event.replay_of,
            depth=event.depth,
        )
        self._fits(value)
        return _partition(key, self.partitions), key_bytes, value

    def check_payload(self, event: Event) -> None:
        """Raise ItemRefused when the event's name has a schema that its payload does not fit."""
        kind = self.types.by_name.get(event.event)
        if kind is not None:
            _check_type(kind, event.resource, event.payload)

    def row(self, item: Any, *, drawn_id: str, received: bytes, source: bytes = b"") -> tuple[str, Row]:
        """Return id and row of a posted item; `drawn_id` counts when it brings none. Raises ItemRefused."""
        if type(item) is not dict:
            raise ItemRefused("", "an event is a JSON object")
        if not item.keys() <= _FIELDS:
            raise ItemRefused(next(str(k)[:100] for k in item if k not in _FIELDS), "there is no such field")
        get = item.get
        name = get("event")
        if type(name) is not str or not name or len(name) > self.limits.name_chars or not name.isprintable():
            raise ItemRefused(
                "event", f"must be a text of 1 to {self.limits.name_chars} printable characters"
            )
        if name.startswith(RESERVED):
            raise ItemRefused("event", f"names that begin with {RESERVED} are ours; choose another")
        resource = get("resource")
        key = self._resource_id(resource)
        id_text = drawn_id if get("id") is None else _id(item, "id")
        id_bytes = id_text.encode()
        correlation = get("correlation_id")
        causation = get("causation_id")
        follows = get("follows")
        at = get("occurred")
        related = get("related")
        payload = get("payload")
        kind = self.types.by_name.get(name)
        if kind is not None:
            _check_type(kind, resource, {} if payload is None else payload)
        depth = get("depth", 0)
        if depth != 0 or type(depth) is not int:
            _check_depth(depth)
        value = encode_event(
            self.header,
            id_text=id_bytes,
            event=name.encode(),
            resource_id=key.encode(),
            occurred=received if at is None else _occurred(at),
            received=received,
            resource=dumps(resource),
            related=b"[]" if related is None else self._related(related),
            payload=b"{}" if payload is None else _payload(payload),
            source=source,
            causation_id=None if causation is None else _id(item, "causation_id"),
            correlation_id=id_bytes if correlation is None else _id(item, "correlation_id").encode(),
            follows=None if follows is None else _id(item, "follows"),
            replay_of=None,
            depth=depth,
        )
        self._fits(value)
        return id_text, (_partition(key, self.partitions), key.encode(), value)

    def _resource_id(self, resource: Any) -> str:
        if type(resource) is not dict:
            raise ItemRefused("resource", "must be an object of labels")
        _check_labels("resource", resource, self.limits.labels)
        ours, prefects = resource.get(ID_LABEL), resource.get(PREFECT_ID_LABEL)
        key = ours or prefects
        if not key:
            raise ItemRefused(
                f"resource.{ID_LABEL}", f"the label {ID_LABEL} (or {PREFECT_ID_LABEL}) is missing"
            )
        if ours and prefects and ours != prefects:
            raise ItemRefused(f"resource.{ID_LABEL}", f"{ID_LABEL} and {PREFECT_ID_LABEL} differ")
        if len(key) > RESOURCE_ID_CHARS_MAX:
            raise ItemRefused(f"resource.{ID_LABEL}", f"is longer than {RESOURCE_ID_CHARS_MAX} characters")
        return str(key)

    def _related(self, related: Any) -> bytes:
        if type(related) is not list:
            raise ItemRefused("related", "must be an array of label objects")
        if len(related) > self.limits.related:
            raise ItemRefused("related", f"has {len(related)} resources, {self.limits.related} are the most")
        for at, labels in enumerate(related):
            field = f"related[{at}]"
            if type(labels) is not dict:
                raise ItemRefused(field, "must be an object of labels")
            _check_labels(field, labels, self.limits.labels)
            if not (labels.get(ID_LABEL) or labels.get(PREFECT_ID_LABEL)):
                raise ItemRefused(f"{field}.{ID_LABEL}", f"the label {ID_LABEL} is missing")
            if not (labels.get(ROLE_LABEL) or labels.get(PREFECT_ROLE_LABEL)):
                raise ItemRefused(f"{field}.{ROLE_LABEL}", f"the label {ROLE_LABEL} is missing")
        return dumps(related)

    def _fits(self, value: bytes) -> None:
        if len(value) > self.limits.event_bytes:
            reason = f"the event has {len(value)} bytes, {self.limits.event_bytes} are the most"
            raise ItemRefused("", reason, status=413)


@lru_cache(maxsize=_KEYS_CACHED)
def _partition(key: str, partitions: int) -> int:
    """Return the shard, remembered: resources come again, and murmur2 costs 2 to 5 µs."""
    return shard(key, partitions)


def _check_labels(field: str, labels: Mapping[str, Any], labels_max: int) -> None:
    if set(map(type, labels.values())) != _TEXT_ONLY and labels:
        wrong = next(name for name, value in labels.items() if type(value) is not str)
        raise ItemRefused(f"{field}.{wrong[:100]}", "a label is a text")
    if len(labels) > labels_max:
        raise ItemRefused(field, f"has {len(labels)} labels, {labels_max} are the most")


def _id(item: Mapping[str, Any], field: str) -> str:
    found = canonical_id(item[field])
    if found is None:
        raise ItemRefused(field, "must be a UUID, for example 01890a5d-ac96-774b-bcce-b302099a8057")
    return found


def _check_type(kind: EventType, resource: Any, payload: Any) -> None:
    inside, part = typed_part(resource, payload)
    try:
        kind.check(part)
    except Misfit as misfit:
        place = ".".join(name for name in (PAYLOAD, inside, misfit.path) if name)
        reason = f"{misfit.reason} (schema of {kind.name}, version {kind.newest.number})"
        raise ItemRefused(place, reason, letter=Reason.WRONG_PAYLOAD) from None


def _payload(payload: Any) -> bytes:
    if type(payload) is not dict:
        raise ItemRefused("payload", "must be an object")
    return dumps(payload)


def _occurred(text: Any) -> bytes:
    try:
        at = datetime.fromisoformat(text) if type(text) is str else None
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or not _YEAR_MIN < at.year < _YEAR_MAX:
        raise ItemRefused("occurred", "must be a time with its zone, for example 2026-01-31T12:00:00.123456Z")
    return micros_bytes(micros(at))


def _check_depth(depth: Any) -> None:
    if type(depth) is not int or depth < 0:
        raise ItemRefused("depth", "must be a whole number, the links of the causal chain before this event")
    if depth >= DEPTH_MAX:
        raise ItemRefused(
            "depth", f"the causal chain has {depth} links, {DEPTH_MAX} or more are taken for a loop"
        )
