"""A captured record of Debezium through what translates it: no broker, no registry."""

import json
from typing import Any

from schemas.event_record import as_posted
from streams.errors import Poison
from streams.kafka.log_record import LogRecord
from streams.sources.cdc.record import ChangeReading
from streams.sources.kafka_value import Values

KIND = "debezium"


def check_change(
    *, topic: str, key: bytes | None, value: bytes | None, headers: dict[str, str], name: str, source: str
) -> dict[str, Any]:
    """Return what `check` returns: the events, or the dead letter that it would be."""
    record = LogRecord(
        topic=topic,
        partition=0,
        offset=0,
        timestamp_ms=0,
        key=key or None,
        value=value or None,
        headers=[(header, text.encode()) for header, text in headers.items()],
    )
    problem: dict[str, Any] | None = None
    events: list[dict[str, Any]] = []
    try:
        found = ChangeReading(source=source, values=Values("json", None)).taken(record)
        events = [as_posted(event) for event in found.events]
    except Poison as poison:
        problem = {"type": "urn:ensue:dead-letter", "reason": poison.reason, "detail": str(poison)}
    for event in events:
        del event["related"]  # a row has none
    body = json.dumps({"ids": [event["id"] for event in events]})
    return {"name": name, "status": 202, "headers": {}, "body": body, "events": events, "problem": problem}
