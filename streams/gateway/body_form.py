"""A further form of events at POST /events (CloudEvents): its events become items like posted ones."""

from collections.abc import Iterator
from typing import Any

from schemas.event import Event
from streams.clock import Clock
from streams.errors import Poison
from streams.gateway.item import ItemRefused
from streams.gateway.parse import ItemParser, Items
from streams.gateway.problem import Problem
from streams.gateway.request import Answer, Request, answer_of_reply, delivery_of
from streams.inbound import BodyForm, Refused
from streams.settings import LimitSettings

_STATUS = {"malformed_json": (400, "malformed-json"), "unknown_format": (415, "content-type")}


def claimed(form: BodyForm | None, request: Request) -> BodyForm | None:
    """Return the form when the request is for it."""
    if form is None:
        return None
    return form if form.claims(request.text(b"content-type"), request.headers) else None


def parser_of_form(form: BodyForm, request: Request, clock: Clock) -> ItemParser:
    """Return the parser of one request's body: the form may need its headers."""

    def items(body: bytes, limits: LimitSettings) -> tuple[int, Items]:
        delivery = delivery_of(request, body, clock.now_us())
        try:
            count, events = form.read(delivery, depth_max=limits.depth)
        except Poison as poison:
            raise _problem(poison) from None
        return count, _items(events)

    return items


def _items(events: Iterator[Event | Refused]) -> Items:
    while True:
        try:
            event = next(events, None)
        except Poison as poison:
            raise _problem(poison) from None
        if event is None:
            return
        yield ItemRefused(event.field, event.reason) if isinstance(event, Refused) else _posted(event)


def _posted(event: Event) -> dict[str, Any]:
    """Return an event as our own form has it, so that the same limits hold for both."""
    item: dict[str, Any] = {
        "id": event.id,
        "event": event.event,
        "resource": event.resource,
        "payload": event.payload,
        "occurred": event.occurred.isoformat(),
        "correlation_id": event.correlation_id,
    }
    if event.causation_id:
        item["causation_id"] = event.causation_id
    return item


def _problem(poison: Poison) -> Problem:
    status, slug = _STATUS.get(poison.reason, (422, "invalid-event"))
    return Problem(status, slug, f"Nothing was taken: {poison}.")


def handshake(form: BodyForm, request: Request, now_us: int) -> Answer:
    """Answer OPTIONS /events without reading a body: a sender asks whether it may send."""
    return answer_of_reply(form.handshake(delivery_of(request, b"", now_us)))
