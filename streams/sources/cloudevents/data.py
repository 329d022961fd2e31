"""`data` between bytes and values, by its media type (JSON format 3.1, HTTP binding 3.1.2)."""

from typing import Any

from streams.errors import Poison
from streams.sources.cloudevents.attribute_types import Invalid, media_type
from streams.sources.cloudevents.cloud_event import CloudEvent, Content
from streams.strict_json import JsonRefused, dumps, loads

JSON_TYPE = "application/json"
# Bytes of these are shown as text; every other encoding stays bytes, which loses nothing.
_ENCODINGS = {"": "utf-8", "utf-8": "utf-8", "us-ascii": "ascii", "iso-8859-1": "latin-1"}
_TEXT_TYPES = frozenset(("application/xml", "application/yaml", "application/x-www-form-urlencoded"))


class Unencodable(ValueError):
    """A text that its own charset cannot express, so it has no bytes."""


def is_json(datacontenttype: str | None) -> bool:
    """Return whether data of this type is JSON: no type, a subtype json, or one that ends with +json."""
    if datacontenttype is None:
        return True
    kind, _ = media_type("datacontenttype", datacontenttype)
    subtype = kind.partition("/")[2]
    return subtype == "json" or subtype.endswith("+json")


def data_of_bytes(datacontenttype: str | None, body: bytes, *, depth_max: int) -> tuple[Content, Any]:
    """Return the data of a binary-mode message; raises Poison (malformed_json) when it is not what it says.

    A body without bytes is an event without data.
    """
    if not body:
        return Content.NONE, None
    if datacontenttype is None:  # nothing may be assumed of it
        return Content.BINARY, body
    kind, parameters = media_type("datacontenttype", datacontenttype)
    encoding = _ENCODINGS.get(parameters.get("charset", "").lower())
    if is_json(datacontenttype):
        if encoding not in {"utf-8", "ascii"}:
            raise Invalid("datacontenttype", "JSON is UTF-8; send it so, or without a charset")
        try:
            return Content.JSON, loads(body, depth_max=depth_max)
        except JsonRefused as refused:
            text = f"data is not {JSON_TYPE} as datacontenttype says: {refused}"
            raise Poison(text, reason="malformed_json") from None
    if encoding is None or not (kind.startswith("text/") or kind in _TEXT_TYPES or kind.endswith("+xml")):
        return Content.BINARY, body
    try:
        return Content.TEXT, body.decode(encoding)
    except UnicodeDecodeError:
        return Content.BINARY, body


def bytes_of_data(event: CloudEvent) -> bytes:
    """Return the body of a binary-mode message; raises Unencodable."""
    if event.content is Content.NONE:
        return b""
    if event.content is Content.BINARY:
        return bytes(event.data)
    if event.content is Content.JSON:
        return dumps(event.data)
    declared = event.text("datacontenttype")
    charset = media_type("datacontenttype", declared)[1].get("charset", "").lower() if declared else ""
    encoding = _ENCODINGS.get(charset)
    if encoding is None:
        raise Unencodable(f"its text cannot be written in {charset[:50]}")
    try:
        return str(event.data).encode(encoding)
    except UnicodeEncodeError:
        raise Unencodable(f"its text has characters that {charset or encoding} has not") from None
