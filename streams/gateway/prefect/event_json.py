"""One event as Prefect's clients write it, to a row."""

from typing import Any

from streams.gateway.avro_event import micros_bytes
from streams.gateway.item import ItemRefused, Writer
from streams.gateway.ports import Row

SOURCE = "prefect"  # the label `source` of what came in this way
_SOURCE = SOURCE.encode()
_FIELDS = ("occurred", "event", "resource", "related", "payload", "id", "follows")
_NEEDED = ("id", "occurred")  # drawn here, each resend would be another event


def row_of(writer: Writer, item: Any, *, received_us: int) -> tuple[str, Row]:
    """Return id and row; fields that Prefect does not know are passed over, as it does itself.

    Raises ItemRefused.
    """
    if type(item) is not dict:
        raise ItemRefused("", "an event is a JSON object")
    known = {name: item[name] for name in _FIELDS if name in item}
    for name in _NEEDED:
        if known.get(name) is None:
            raise ItemRefused(name, "is missing")
    return writer.row(known, drawn_id="", received=micros_bytes(received_us), source=_SOURCE)
