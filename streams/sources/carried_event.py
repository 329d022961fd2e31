"""CloudEvents as Google's and Microsoft's services send them: their own events, read leniently.

The strict reader is for senders that want to be told what is wrong. These bring placeholders and spaces where
a URI should be, and nobody could mend it.
"""

from collections.abc import Mapping
from typing import Any

from streams.errors import Poison
from streams.inbound import Delivery
from streams.sources.fields import Unusable, percent_decoded
from streams.sources.json_body import json_body

_PREFIX = "ce-"


def media_type(delivery: Delivery) -> str:
    """Return the body's type without parameters, in lower case; empty when it is missing or doubled."""
    found = delivery.headers.all("content-type")
    return found[0].partition(";")[0].strip().lower() if len(found) == 1 else ""


def is_binary(delivery: Delivery) -> bool:
    """Tell whether attributes stand in headers."""
    return bool(delivery.headers.all("ce-specversion")) and not media_type(delivery).startswith(
        "application/cloudevents"
    )


def event_in_headers(delivery: Delivery) -> Mapping[str, Any]:
    """Return a binary-mode event in structured form; raises Poison."""
    attributes: dict[str, Any] = {}
    for name, value in delivery.headers:
        if name.startswith(_PREFIX):
            attribute = name.removeprefix(_PREFIX)
            if attribute in attributes:
                raise Poison(f"the header {name[:100]} stands twice", reason="unusable_record")
            try:
                attributes[attribute] = percent_decoded(value, name[:100])
            except Unusable as error:
                raise Poison(str(error), reason="unusable_record") from None
    return {**attributes, "data": json_body(delivery)} if delivery.body else attributes
