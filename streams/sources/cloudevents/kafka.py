"""The Kafka binding (v1.0.2): records of a topic that are CloudEvents."""

from collections.abc import Sequence

from streams.errors import Poison
from streams.inbound import Taken
from streams.sources.cloudevents.attribute_types import Invalid, media_type
from streams.sources.cloudevents.cloud_event import REQUIRED, CloudEvent, attributes_of
from streams.sources.cloudevents.data import data_of_bytes
from streams.sources.cloudevents.http_binding import MEDIA_TYPE, STRUCTURED
from streams.sources.cloudevents.json_format import from_json
from streams.sources.cloudevents.mapping import event_of
from streams.sources.json_body import DEPTH_MAX, json_value

KafkaHeaders = Sequence[tuple[str, bytes | None]]
PREFIX = "ce_"
_CONTENT_TYPE = "content-type"
_MARKS = frozenset(f"{PREFIX}{name}" for name in REQUIRED)


def cloud_event_of_record(
    headers: KafkaHeaders, value: bytes | None, at_s: float, source: str, *, assumed: bool = False
) -> Taken | None:
    """Return the event of a record, or why it is unusable; None when the record is no CloudEvent.

    Args:
        headers: In their order, doubled ones included.
        value: None is a CloudEvent without data in binary mode.
        at_s: The record's log time, Unix seconds; `occurred` of an event without `time`.
        source: The configured source.
        assumed: Read a record that no header marks as a structured event (senders without headers).

    """
    types = [raw or b"" for name, raw in headers if name.lower() == _CONTENT_TYPE]
    structured = any(raw.lstrip()[: len(MEDIA_TYPE)].lower() == MEDIA_TYPE.encode() for raw in types)
    marked = any(name in _MARKS for name, _ in headers)
    if not (structured or marked or assumed):
        return None
    try:
        cloud = _structured(types, value) if structured or not marked else _binary(headers, value)
        return Taken(events=[event_of(cloud, at_s=at_s, source=source)])
    except (Invalid, Poison) as error:
        return Taken(unusable=[f"the CloudEvent is not valid: {error}"])


def _structured(types: Sequence[bytes], value: bytes | None) -> CloudEvent:
    if len(types) > 1:
        raise Invalid(_CONTENT_TYPE, "the header stands more than once")
    if types:
        kind, _ = media_type(_CONTENT_TYPE, _text(_CONTENT_TYPE, types[0]).strip())
        if kind != STRUCTURED:
            raise Invalid(
                _CONTENT_TYPE, f"{kind[:100]} is not known here; the Kafka binding has {STRUCTURED}"
            )
    return from_json(json_value(value or b""))


def _binary(headers: KafkaHeaders, value: bytes | None) -> CloudEvent:
    given: dict[str, str] = {}
    for field, raw in headers:
        if field.startswith(PREFIX):
            name = field.removeprefix(PREFIX)
            if name == "datacontenttype":
                raise Invalid(name, "is the header content-type; ce_datacontenttype must not be sent")
        elif field.lower() == _CONTENT_TYPE:
            name = "datacontenttype"
        else:
            continue
        if name in given:
            raise Invalid(name, f"the header {field[:100]} stands more than once")
        if raw is not None:
            given[name] = _text(name, raw)
    attributes = attributes_of(given)
    declared = given.get("datacontenttype")
    content, data = data_of_bytes(declared, value or b"", depth_max=DEPTH_MAX)
    return CloudEvent(attributes=attributes, content=content, data=data)


def _text(name: str, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Invalid(name, "the header's value is not UTF-8") from None
