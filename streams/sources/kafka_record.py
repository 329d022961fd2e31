"""A Kafka record as events."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from flows.template import event_view
from schemas.event import ID_LABEL, Event
from schemas.identity import derived_id
from streams.errors import Poison
from streams.inbound import Taken
from streams.kafka.record import Record
from streams.sources.cloudevents.kafka import cloud_event_of_record
from streams.sources.kafka_value import Format, Value, Values
from streams.sources.made_event import checked_name, checked_place, time_of
from streams.sources.mapping import TextTemplate
from streams.sources.storage import is_storage, storage_events
from streams.strict_json import dumps

HEADERS_MAX = 32
HEADER_CHARS_MAX = 256
NAMES = frozenset(("key", "value", "headers", "topic", "partition", "offset", "event"))
_EVENT_FIELDS_BYTES = 8192  # what an event has beside labels and payload, at most
_TOMBSTONE = Value(json=None)
_NUMBER = re.compile(r"[0-9]{1,16}(\.[0-9]{1,9})?")
_SECRET = re.compile(
    r"authori[sz]|authentic|cookie|token|secret|passw|credential|signature|api[-_]?key", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordWording:
    """Templates over `key`, `value`, `headers`, `topic`, `partition`, `offset` and `event`, as it is without.

    Attributes:
        event: Of the event's name; `SOURCE.record` when None.
        resource: Of the resource id; `kafka://TOPIC/KEY` when None.
        occurred: Of the time; the record's timestamp when None.

    """

    event: TextTemplate | None = None
    resource: TextTemplate | None = None
    occurred: TextTemplate | None = None


_NOTHING = RecordWording()


def record_wording(
    *, event: str | None = None, resource: str | None = None, occurred: str | None = None
) -> RecordWording:
    """Return compiled templates; raises BadInput naming the one that cannot be."""
    return RecordWording(
        event=_template(event, "event"),
        resource=_template(resource, "resource"),
        occurred=_template(occurred, "occurred"),
    )


def _template(text: str | None, place: str) -> TextTemplate | None:
    return None if text is None else TextTemplate(text, place=place, known=NAMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordReading:
    """How the records of one topic are read. Pure, but for the registry that `values` asks.

    Attributes:
        source: The source's name.
        cluster: The id of the topic's cluster.
        format: As configured.
        values: Reads values and keys.
        wording: The source's templates.
        event_bytes_max: What the gateway takes.

    """

    source: str
    cluster: str
    format: Literal["auto", "avro", "json", "cloudevents", "text"]
    values: Values
    wording: RecordWording
    event_bytes_max: int = 1 << 20

    def taken(self, record: Record, at_s: float) -> Taken:
        """Return what a record says; `at_s` is the receiver's clock in Unix seconds.

        Raises Poison for a record that is unusable as a whole, OSError while the registry does not answer.
        """
        received = _time(at_s)
        key = self.values.key(record.key)
        found, value = self._read(record, key, at_s)
        names = {
            "key": key,
            "headers": headers_of(record),
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
        }
        events = []
        for number, event in enumerate(found.events):
            told = {**names, "value": event.payload if value is None else value.json}
            changes = {"received": received, **self._worded(event, told)}
            if not event.id:
                changes["id"] = changes["correlation_id"] = self._id(record, number)
            made = replace(event, **changes)
            checked_name(made.event)
            checked_place(made.resource_id)
            self._fits(made)
            events.append(made)
        return replace(found, events=events)

    def _read(self, record: Record, key: str | None, at_s: float) -> tuple[Taken, Value | None]:
        """Return the events before the templates; the value as well, unless it is of a form of its own."""
        if self.format in {"auto", "cloudevents"}:
            log_s = record.timestamp_ms / 1000 if record.timestamp_ms > 0 else at_s
            cloud = cloud_event_of_record(
                record.headers, record.value, log_s, self.source, assumed=self.format == "cloudevents"
            )
            if cloud is not None:
                return cloud, None
        value = _TOMBSTONE if record.value is None else self.values.read(record.value)
        storage = _stored(value.json, self.source) if self.format in {"auto", "json"} else None
        if storage is not None:
            return storage, None
        return Taken(events=[self._plain(record, key, value, at_s)]), value

    def _plain(self, record: Record, key: str | None, value: Value, at_s: float) -> Event:
        place = f"kafka://{record.topic}/{key or f'partition/{record.partition}'}"
        labels = {
            ID_LABEL: place,
            "provider": "kafka",
            "topic": record.topic,
            "partition": str(record.partition),
            "offset": str(record.offset),
            **({} if key is None else {"key": key}),
            **({"schema": value.schema} if value.schema else {}),
            **({"tombstone": "true"} if value is _TOMBSTONE else {}),
            **{f"header.{name}": text for name, text in headers_of(record).items()},
        }
        number = self._id(record, 0)
        return Event(
            id=number,
            event=f"{self.source}.record",
            resource_id=place,
            resource=labels,
            occurred=(record.timestamp_ms > 0 and time_of(record.timestamp_ms / 1000)) or _time(at_s),
            payload=value.json if isinstance(value.json, dict) else {"value": value.json},
            source=self.source,
            correlation_id=number,
        )

    def _id(self, record: Record, number: int) -> str:
        place = (self.cluster, record.topic, record.partition, record.offset)
        return derived_id("kafka", *place, *((number,) if number else ()), ms=max(record.timestamp_ms, 0))

    def _worded(self, event: Event, names: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the source's templates change; all of them see the event as it was."""
        wording = self.wording
        changes: dict[str, Any] = {}
        if wording == _NOTHING:
            return changes
        names = {**names, "event": event_view(event)}
        if wording.event is not None:
            changes["event"] = wording.event.of(names)
        if wording.resource is not None:
            place = wording.resource.of(names)
            changes |= {"resource_id": place, "resource": {**event.resource, ID_LABEL: place}}
        if wording.occurred is not None:
            changes["occurred"] = _told_time(wording.occurred.of(names))
        return changes

    def _fits(self, event: Event) -> None:
        size = len(dumps(event.payload)) + len(dumps(dict(event.resource))) + len(event.resource_id.encode())
        if size + _EVENT_FIELDS_BYTES > self.event_bytes_max:
            raise Poison(
                f"the event would have {size + _EVENT_FIELDS_BYTES} bytes, {self.event_bytes_max} are the "
                "most (limits.event_bytes)",
                reason="too_large",
            )


def plain_format(configured: str) -> Format:
    """Return how values are read that are no CloudEvents."""
    return "auto" if configured == "cloudevents" else configured  # type: ignore[return-value]


def headers_of(record: Record) -> Mapping[str, str]:
    """Return the first 32 headers that are text and tell no secret, shortened."""
    found: dict[str, str] = {}
    for name, raw in record.headers:
        if len(found) >= HEADERS_MAX:
            break
        if raw is None or not name.isprintable() or len(name) > HEADER_CHARS_MAX or _SECRET.search(name):
            continue
        text = raw[: 4 * HEADER_CHARS_MAX].decode("utf-8", "ignore")[:HEADER_CHARS_MAX]
        if text and text.isprintable():
            found[name] = text
    return found


def _stored(document: Any, source: str) -> Taken | None:
    """Return the events of a bucket that notifies by Kafka; None for what only looks so."""
    if not is_storage(document):
        return None
    try:
        found = storage_events(document, source)
    except Poison:
        return None
    return found if found.events or not found.unusable else None


def _time(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)


def _told_time(told: str) -> datetime:
    at = time_of(float(told) if _NUMBER.fullmatch(told) else told)
    if at is None:
        raise Poison(
            f"the template of occurred gives {told[:100]!r}, which is no time: ISO 8601, seconds or "
            "milliseconds since 1970, in the years 1900 to 2299",
            reason="unusable_record",
        )
    return at
