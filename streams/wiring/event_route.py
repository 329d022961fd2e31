"""`GET /events/{id}` at the gateway: one stored event, in our own form or as a CloudEvent."""

import re
from collections.abc import Sequence

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from streams.errors import EnsueError, Overload
from streams.sources.cloudevents.data import Unencodable
from streams.sources.cloudevents.negotiation import (
    MEDIA_TYPES,
    Shape,
    TooLongForHeaders,
    message_of,
    shape_accepted,
)
from streams.store.queries.one_event import stored_event
from streams.store.queries.reader import StoreReader
from streams.wiring.sql_route import problem

_ID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}", re.ASCII)
_VARY = {"Vary": "Accept"}


def event_routes(store: StoreReader) -> Sequence[BaseRoute]:
    """Return the route; put it behind routes of other paths below /events/."""

    async def get_event(request: Request) -> Response:
        event_id = request.path_params["id"]
        if not _ID.fullmatch(event_id):
            text = "An event's id is a UUID, for example 01890a5d-ac96-774b-bcce-b302099a8057."
            return problem(400, "not an id", text)
        shape = _shape(request)
        if isinstance(shape, Response):
            return shape
        try:
            event = await run_in_threadpool(stored_event, store, event_id.lower())
        except Overload as error:
            return problem(429, "too many readers", str(error), retry_after_s=error.retry_after_s)
        except EnsueError as error:
            return problem(503, "store unavailable", str(error), retry_after_s=1.0)
        if event is None:
            text = "No event of this id is stored. One that was accepted a moment ago may not be in yet."
            return problem(404, "no such event", text)
        try:
            message = message_of(event, shape)
        except (Unencodable, TooLongForHeaders) as error:
            text = f"This event has no binary mode: {error}. Ask for application/cloudevents+json."
            return problem(406, "not acceptable", text)
        response = Response(message.body, headers={**message.headers, **_VARY})
        if message.content_type is not None:
            response.headers["content-type"] = message.content_type
        return response

    return [Route("/events/{id}", get_event, methods=["GET"])]


def _shape(request: Request) -> Shape | Response:
    """Return what is asked for; `?mode=` wins, for whoever can set no header."""
    modes = request.query_params.getlist("mode")
    if modes:
        if len(modes) > 1 or modes[0] not in set(Shape):
            known = ", ".join(Shape)
            return problem(400, "no such mode", f"mode is one of {known}, and stands once.")
        return Shape(modes[0])
    shape = shape_accepted(", ".join(request.headers.getlist("accept")))
    if shape is None:
        known = ", ".join(MEDIA_TYPES)
        return problem(406, "not acceptable", f"An event is shown as one of {known}; say so in Accept.")
    return shape
