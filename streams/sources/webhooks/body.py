"""A webhook's body as its content type says: JSON, a form, or text."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from streams.errors import Poison
from streams.inbound import Delivery
from streams.sources.json_body import DEPTH_MAX, json_body, json_value
from streams.strict_json import JsonRefused, loads

FORM = "application/x-www-form-urlencoded"
FIELDS_MAX = 1000


def content_type(delivery: Delivery) -> str:
    """Return the media type in lower case, empty when none is given; raises Doubled."""
    return (delivery.headers.one("content-type") or "").partition(";")[0].strip().lower()


def parsed(delivery: Delivery) -> Any:
    """Return JSON's value, a form's fields, or the text.

    What calls itself JSON must be JSON; what calls itself nothing, or text, is JSON when it is an object or
    an array and reads as one. Raises Poison (malformed_json, undecodable).
    """
    kind = content_type(delivery)
    if kind == "application/json" or kind.endswith("+json"):
        return json_body(delivery)
    text = _text(delivery.body)
    if kind == FORM:
        return _fields(text)
    if text.lstrip()[:1] in ("{", "["):
        try:
            return loads(delivery.body, depth_max=DEPTH_MAX)
        except JsonRefused:
            pass
    return text


def parsed_or_wrapped(delivery: Delivery) -> Any:
    """Return `parsed`, or what lies in a form's field `payload` as JSON: GitHub and Slack send both."""
    value = parsed(delivery)
    if content_type(delivery) == FORM and isinstance(value.get("payload"), str):
        return json_value(value["payload"].encode())
    return value


def as_payload(value: Any) -> Mapping[str, Any]:
    """Return an event's payload: an object as it is, everything else as the member `body`."""
    return value if isinstance(value, Mapping) else {"body": value}


def member(value: Any, *path: str) -> Any:
    """Return what lies at a path of member names; None when there is nothing."""
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def text_at(value: Any, *path: str) -> str:
    """Return a text or a number at a path, as text; empty when there is none."""
    found = member(value, *path)
    if isinstance(found, str):
        return found
    return str(found) if isinstance(found, int) and not isinstance(found, bool) else ""


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Poison(f"the body is not UTF-8 at byte {error.start}", reason="undecodable") from None


def _fields(text: str) -> dict[str, Any]:
    """Return a form's fields; one that stands several times has a list."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
    except UnicodeDecodeError:
        raise Poison("a field of the form is not UTF-8 when decoded", reason="undecodable") from None
    except ValueError:
        raise Poison(f"the form has more than {FIELDS_MAX} fields", reason="undecodable") from None
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found
