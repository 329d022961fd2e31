"""An event happens, a run ensues: what a person writes."""

from flows.emit import emit_event, emit_event_async
from flows.flow_decorator import flow
from flows.task_decorator import task
from flows.triggers import (
    event_trigger,
    object_created,
    object_deleted,
    object_restored,
    object_updated,
)
from schemas.event import Event

__all__ = [
    "Event",
    "emit_event",
    "emit_event_async",
    "event_trigger",
    "flow",
    "object_created",
    "object_deleted",
    "object_restored",
    "object_updated",
    "task",
]
