"""What a schema of an event's name speaks of: the payload, or the data of one that came as a CloudEvent."""

from collections.abc import Mapping
from typing import Any

PROVIDER_LABEL = "provider"
CLOUD_EVENTS = "cloudevents"  # the provider, and the field that keeps a CloudEvent's attributes as they came
DATA = "data"


def came_as_cloud_event(resource: object, payload: object) -> bool:
    """Return whether a payload is a CloudEvent's: its data beside its attributes."""
    return (
        isinstance(payload, Mapping)
        and CLOUD_EVENTS in payload
        and isinstance(resource, Mapping)
        and resource.get(PROVIDER_LABEL) == CLOUD_EVENTS
    )


def typed_part(resource: object, payload: Any) -> tuple[str, Any]:
    """Return where in a payload its typed part is ("" for all of it), and that part; None without data."""
    if came_as_cloud_event(resource, payload):
        return DATA, payload.get(DATA)
    return "", payload
