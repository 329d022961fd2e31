"""What Prefect's clients ask by plain HTTP: the version, and a batch of events."""

from typing import Any

import orjson

from streams.clock import Clock
from streams.errors import Overload
from streams.gateway.body import read_body
from streams.gateway.in_flight import InFlight
from streams.gateway.intake import Intake
from streams.gateway.item import Writer
from streams.gateway.parse import Batch, batch_of
from streams.gateway.ports import Row
from streams.gateway.prefect.credential import Credential
from streams.gateway.prefect.event_json import row_of
from streams.gateway.problem import Problem, unavailable
from streams.gateway.request import Answer, Request
from streams.strict_json import JsonRefused, loads

# The version whose wire protocol this is; a client of another major version refuses to talk.
VERSION = "3.8.8"
_ROW_OVERHEAD_BYTES = 200
_SLICE_EVENTS = 200  # what others wait for the loop, a few milliseconds


class PrefectHttp:
    """`GET /api/admin/version` and `POST /api/events`; with an auth string set, both ask for it."""

    def __init__(
        self, writer: Writer, intake: Intake, in_flight: InFlight, clock: Clock, credential: Credential
    ) -> None:
        self._writer = writer
        self._intake = intake
        self._in_flight = in_flight
        self._clock = clock
        self._credential = credential

    async def version(self, request: Request) -> Answer:
        """Answer a JSON text."""
        self._credential.require(request.headers.get(b"authorization"))
        return Answer(200, orjson.dumps(VERSION))

    async def events(self, request: Request) -> Answer:
        """Take an array of events: 204 when all are acknowledged, 422 for the whole when one is bad."""
        self._credential.require(request.headers.get(b"authorization"))
        kind = request.text(b"content-type").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Problem(415, "content-type", "Send application/json.")
        share = self._in_flight.share()
        try:
            body = await read_body(request, bytes_max=self._writer.limits.body_bytes, share=share)
            share.work()
            batch = await self._batch(_array(body, self._writer.limits.depth + 1))
            share.take(sum(len(row[2]) + _ROW_OVERHEAD_BYTES for row in batch.rows))
            if batch.rows:
                await self._intake.accept(batch)
            return Answer(204, b"")
        except Overload as overload:
            raise unavailable("overload", f"{overload}.", retry_after_s=overload.retry_after_s) from None
        finally:
            share.leave()

    async def _batch(self, items: list[Any]) -> Batch:
        most = self._writer.limits.events_per_body
        if len(items) > most:
            raise Problem(413, "too-many-events", f"The body holds {len(items)} events, {most} are the most.")
        received_us = self._clock.now_us()

        def row(_at: int, item: Any) -> tuple[str, Row]:
            return row_of(self._writer, item, received_us=received_us)

        return await batch_of(items, row, slice_events=_SLICE_EVENTS)


def _array(body: bytes, depth_max: int) -> list[Any]:
    try:
        items = loads(body, depth_max=depth_max)
    except JsonRefused as refused:
        raise Problem(400, "malformed-json", f"The body was refused: {refused}.") from None
    if type(items) is not list:
        raise Problem(422, "invalid-event", "The body must be an array of events.")
    return items
