"""A delivery's body as JSON, as strictly as the door takes it everywhere."""

from typing import Any

from streams.errors import Poison
from streams.inbound import Delivery
from streams.strict_json import JsonRefused, loads

DEPTH_MAX = 64


def json_body(delivery: Delivery) -> Any:
    """Return the body's value; raises Poison (malformed_json)."""
    return json_value(delivery.body)


def json_value(raw: bytes) -> Any:
    """Return the value of a JSON text that lies within a delivery; raises Poison (malformed_json)."""
    try:
        return loads(raw, depth_max=DEPTH_MAX)
    except JsonRefused as refused:
        raise Poison(f"the body is not JSON as we take it: {refused}", reason="malformed_json") from None
