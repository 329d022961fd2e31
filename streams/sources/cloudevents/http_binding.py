"""The HTTP binding (v1.0.2): which content mode a message has, and the events of each."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from streams.errors import Poison
from streams.inbound import Delivery, Doubled, Headers
from streams.sources.cloudevents.attribute_types import Invalid, canonical, media_type
from streams.sources.cloudevents.cloud_event import REQUIRED, CloudEvent, Content, attributes_of
from streams.sources.cloudevents.data import JSON_TYPE, bytes_of_data, data_of_bytes
from streams.sources.cloudevents.header_values import decoded, encoded
from streams.sources.cloudevents.json_format import from_json
from streams.strict_json import JsonRefused, loads

MEDIA_TYPE = "application/cloudevents"
STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"
PREFIX = "ce-"
# A message with one of these headers means to be a CloudEvent; strict reading tells whether it is one.
_MARKS = frozenset(f"{PREFIX}{name}".encode() for name in REQUIRED)
UNKNOWN_FORMAT = "unknown_format"
Read = Callable[[], CloudEvent]


def is_cloud_event(content_type: str, headers: Mapping[bytes, bytes]) -> bool:
    """Return whether a message must be read as CloudEvents; header names are in lower case."""
    return _in_a_format(content_type) or not headers.keys().isdisjoint(_MARKS)


def events_of(delivery: Delivery, *, depth_max: int) -> tuple[int, Iterator[Read]]:
    """Return how many events a message has and what reads each of them (raises Invalid).

    Raises Poison when the message as a whole cannot be read: malformed_json, unknown_format for an event
    format that is not JSON, unusable_record for a batch that is no array.
    """
    try:
        content_type = delivery.headers.one("content-type") or ""
    except Doubled:
        raise Poison("Content-Type stands more than once", reason=UNKNOWN_FORMAT) from None
    if not _in_a_format(content_type):
        return 1, iter([lambda: binary(delivery.headers, delivery.body, depth_max=depth_max)])
    kind = _format(content_type)
    if kind == STRUCTURED:
        document = _json(delivery.body, depth_max)
        return 1, iter([lambda: from_json(document)])
    document = _json(delivery.body, depth_max + 1)
    if not isinstance(document, list):
        raise Poison(f"the body of {BATCHED} must be a JSON array of CloudEvents", reason="unusable_record")
    return len(document), _each(document)


def _in_a_format(content_type: str) -> bool:
    return content_type.lstrip()[: len(MEDIA_TYPE)].lower() == MEDIA_TYPE


def _each(documents: list[Any]) -> Iterator[Read]:
    """Give documents up as they are used."""
    documents.reverse()
    while documents:
        document = documents.pop()
        yield lambda document=document: from_json(document)  # type: ignore[misc]


def _format(content_type: str) -> str:
    try:
        kind, parameters = media_type("", content_type.strip())
    except Invalid:
        kind, parameters = "", {}
    if kind not in {STRUCTURED, BATCHED}:
        text = f"{content_type[:100]} is no event format known here; send {STRUCTURED} or {BATCHED}"
        raise Poison(text, reason=UNKNOWN_FORMAT)
    if parameters.get("charset", "utf-8").lower() not in {"utf-8", "us-ascii"}:
        raise Poison("CloudEvents in JSON are UTF-8; say so in Content-Type", reason=UNKNOWN_FORMAT)
    return kind


def _json(body: bytes, depth_max: int) -> Any:
    try:
        return loads(body, depth_max=depth_max)
    except JsonRefused as refused:
        raise Poison(f"the body was refused: {refused}", reason="malformed_json") from None


def binary(headers: Headers, body: bytes, *, depth_max: int) -> CloudEvent:
    """Return the event of a binary-mode message; raises Invalid, Poison for data of malformed JSON."""
    given: dict[str, str] = {}
    for field, value in headers:
        if not field.startswith(PREFIX):
            continue
        name = field.removeprefix(PREFIX)
        if name == "datacontenttype":
            raise Invalid(
                name, "is the header Content-Type in binary mode; ce-datacontenttype must not be sent"
            )
        if name in given:
            raise Invalid(name, f"the header {field[:100]} stands more than once")
        given[name] = decoded(name, value)
    content_type = headers.one("content-type")
    attributes = attributes_of(
        given if content_type is None else {**given, "datacontenttype": content_type.strip()}
    )
    declared = None if content_type is None else str(attributes["datacontenttype"])
    content, data = data_of_bytes(declared, body, depth_max=depth_max)
    return CloudEvent(attributes=attributes, content=content, data=data)


def to_binary(event: CloudEvent) -> tuple[dict[str, str], bytes]:
    """Return headers and body of a binary-mode message; raises `data.Unencodable`."""
    headers = {
        f"{PREFIX}{name}": encoded(canonical(value))
        for name, value in event.attributes.items()
        if name != "datacontenttype"
    }
    declared = event.text("datacontenttype")
    if declared is None and event.content is Content.JSON:
        declared = JSON_TYPE  # what its absence means in the JSON format must be said here
    if declared is not None:
        headers["content-type"] = declared
    return headers, bytes_of_data(event)
