"""Operations of the gateway for who owns its data folder: what sources there are, dead letters, backfill."""

import asyncio
import base64
import binascii
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from schemas.event import Event
from streams.clock import SystemClock
from streams.errors import BadInput, EnsueError, Overload
from streams.gateway.intake import Intake
from streams.gateway.letter_desk import LetterDesk, Letters, NoSuchLetter
from streams.inbound import HookSource
from streams.source_settings import Source
from streams.wiring.sql_route import problem

PREFIX = "/internal"
BODY_BYTES_MAX = 4 << 20
EVENTS_MAX = 1000
_BACKFILLED = "storage.object."
Handler = Callable[[Request, dict[str, Any]], Awaitable[dict[str, Any]]]


class InternalRoutes:
    """Each request shows the secret of the data folder; `begin` is called once the intake is there.

    Args:
        secret: What `Authorization: Bearer` must show.
        letters: Where dead letters are found.
        hooks: Sources at /hooks/NAME now.
        configured: All sources now.

    """

    def __init__(
        self,
        secret: str,
        letters: Letters,
        hooks: Mapping[str, HookSource],
        configured: Callable[[], Mapping[str, Source]],
    ) -> None:
        self._secret = secret.encode()
        self._letters = letters
        self._hooks = hooks
        self._configured = configured
        self._intake: Intake | None = None

    def begin(self, intake: Intake) -> None:
        """Serve from now on."""
        self._intake = intake

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes; the gateway has checked Host and Origin before they are reached."""
        return [
            Route(f"{PREFIX}/sources", self._guarded(self._sources), methods=["GET"]),
            Route(f"{PREFIX}/sources/{{name}}/events", self._guarded(self._backfilled), methods=["POST"]),
            Route(
                f"{PREFIX}/dead-letters/{{id:uuid}}/{{action}}", self._guarded(self._letter), methods=["POST"]
            ),
        ]

    def _guarded(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            shown = (
                request.headers.get("authorization", "").removeprefix("Bearer ").encode("utf-8", "replace")
            )
            if not hmac.compare_digest(shown, self._secret):
                return problem(401, "unauthorized", "Show the secret of the gateway's data folder.")
            try:
                document = await _document(request) if request.method == "POST" else {}
                return JSONResponse(await handler(request, document))
            except NoSuchLetter as error:
                return problem(404, "no such dead letter", str(error))
            except BadInput as error:
                return problem(422, "refused", str(error))
            except Overload as error:
                return problem(503, "overload", str(error), retry_after_s=error.retry_after_s)
            except EnsueError as error:
                return problem(503, "unavailable", str(error), retry_after_s=1.0)

        return guarded

    def _ready(self) -> Intake:
        if self._intake is None:
            raise EnsueError("the gateway is starting; try again")
        return self._intake

    async def _sources(self, _: Request, __: dict[str, Any]) -> dict[str, Any]:
        return {"sources": {name: source.kind for name, source in self._configured().items()}}

    async def _letter(self, request: Request, document: dict[str, Any]) -> dict[str, Any]:
        by = document.get("by")
        if not isinstance(by, str) or not 0 < len(by) <= 200:
            raise BadInput("`by` must be a text that says who does this")
        desk = LetterDesk(self._letters, self._hooks, self._ready(), SystemClock())
        letter_id = str(request.path_params["id"])
        action = request.path_params["action"]
        if action == "retry":
            return await desk.retry(letter_id, by=by)
        if action == "drop":
            return await desk.drop(letter_id, by=by)
        if action == "edit":
            return await desk.edit(letter_id, _bytes(document.get("body_b64")), by=by)
        raise BadInput(f"nothing is called {action[:40]}; there are retry, drop and edit")

    async def _backfilled(self, request: Request, document: dict[str, Any]) -> dict[str, Any]:
        name = request.path_params["name"]
        if name not in self._configured():
            raise BadInput(f"there is no source {name[:80]} here")
        items = document.get("events")
        if not isinstance(items, list) or not 0 < len(items) <= EVENTS_MAX:
            raise BadInput(f"`events` must be a list of 1 to {EVENTS_MAX}")
        events = [_event(item, name) for item in items]
        await self._ready().publish(events)
        return {"ids": [event.id for event in events]}


async def _document(request: Request) -> dict[str, Any]:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > BODY_BYTES_MAX:
            raise BadInput(f"the body is larger than {BODY_BYTES_MAX} bytes")
    try:
        document = await asyncio.to_thread(json.loads, bytes(body))
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise BadInput("send a JSON object")
    return document


def _bytes(text: object) -> bytes:
    try:
        return base64.b64decode(text if isinstance(text, str) else "!", validate=True)
    except binascii.Error:
        raise BadInput("`body_b64` must be base64") from None


def _event(item: Any, source: str) -> Event:
    """Return an event that a listing made; raises BadInput."""
    try:
        resource = {str(label): str(value) for label, value in item["resource"].items()}
        event = Event(
            id=item["id"],
            event=item["event"],
            resource_id=resource["resource.id"],
            resource=resource,
            occurred=datetime.fromisoformat(item["occurred"]),
            payload=item.get("payload", {}),
            source=source,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"an event lacks {error}") from None
    if not event.event.startswith(_BACKFILLED):
        raise BadInput(f"{event.event[:80]} is no storage event")
    return event
