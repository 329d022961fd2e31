"""The JSON event format (v1.0.2): a CloudEvent as one JSON object."""

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from streams.sources.cloudevents.attribute_types import Invalid
from streams.sources.cloudevents.cloud_event import CloudEvent, Content, attributes_of
from streams.sources.cloudevents.data import is_json

_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", re.ASCII)
DATA, DATA_BASE64 = "data", "data_base64"


def from_json(document: object) -> CloudEvent:
    """Return the event of a JSON value that a strict parser gave; raises Invalid."""
    if not isinstance(document, Mapping):
        raise Invalid("", "a CloudEvent is a JSON object")
    attributes = attributes_of({k: v for k, v in document.items() if k not in {DATA, DATA_BASE64}})
    return with_data(attributes, document)


def with_data(attributes: Mapping[str, Any], members: Mapping[str, Any]) -> CloudEvent:
    """Return the event of checked attributes and the members `data` or `data_base64`; raises Invalid."""
    encoded = members.get(DATA_BASE64)
    if encoded is not None:
        if DATA in members:
            raise Invalid(DATA_BASE64, "data and data_base64 exclude each other")
        if not isinstance(encoded, str) or not _BASE64.fullmatch(encoded):
            raise Invalid(
                DATA_BASE64, "must be a text in Base64 (RFC 4648, 4), padded and without line breaks"
            )
        return CloudEvent(attributes=attributes, content=Content.BINARY, data=b64decode(encoded))
    if DATA not in members:
        return CloudEvent(attributes=attributes)
    data = members[DATA]
    if is_json(attributes.get("datacontenttype")):
        return CloudEvent(attributes=attributes, content=Content.JSON, data=data)
    if data is None:
        return CloudEvent(attributes=attributes)
    if not isinstance(data, str):
        raise Invalid(DATA, "must be a text, because datacontenttype is not JSON")
    return CloudEvent(attributes=attributes, content=Content.TEXT, data=data)


def data_members(event: CloudEvent) -> dict[str, Any]:
    """Return `data` or `data_base64` as the format has them; nothing for an event without data."""
    if event.content is Content.NONE:
        return {}
    if event.content is Content.BINARY:
        return {DATA_BASE64: b64encode(event.data).decode()}
    return {DATA: event.data}


def to_json(event: CloudEvent) -> dict[str, Any]:
    """Return the event as the format's object."""
    return {**event.attributes, **data_members(event)}
