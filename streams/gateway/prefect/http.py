"""What Prefect's clients ask by plain HTTP: the version, and a batch of events."""

from typing import Any

import orjson

from streams.clock import Clock
from streams.errors import Overload
from streams.gateway.body import read_body
from streams.gateway.in_flight import InFlight
from streams.gateway.intake import Intake
from streams.gateway.item import ItemRefused, Writer
from streams.gateway.parse import ERRORS_NAMED_MAX, Batch
from streams.gateway.ports import Row
from streams.gateway.prefect.credential import Credential
from streams.gateway.prefect.event_json import row_of
from streams.gateway.problem import Problem, unavailable
from streams.gateway.request import Answer, Request
from streams.strict_json import JsonRefused, loads

# The version whose wire protocol this is; a client of another major version refuses to talk.
VERSION = "3.8.8"
_ROW_OVERHEAD_BYTES = 200


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
            batch = self._batch(_array(body, self._writer.limits.depth + 1))
            share.take(sum(len(row[2]) + _ROW_OVERHEAD_BYTES for row in batch.rows))
            if batch.rows:
                await self._intake.accept(batch)
            return Answer(204, b"")
        except Overload as overload:
            raise unavailable("overload", f"{overload}.", retry_after_s=overload.retry_after_s) from None
        finally:
            share.leave()

    def _batch(self, items: list[Any]) -> Batch:
        most = self._writer.limits.events_per_body
        if len(items) > most:
            raise Problem(413, "too-many-events", f"The body holds {len(items)} events, {most} are the most.")
        received_us = self._clock.now_us()
        ids: list[str] = []
        rows: list[Row] = []
        errors: list[dict[str, Any]] = []
        for at, item in enumerate(items):
            try:
                id_text, row = row_of(self._writer, item, received_us=received_us)
            except ItemRefused as refused:
                errors.append({"index": at, "field": refused.field, "reason": refused.reason})
                if len(errors) >= ERRORS_NAMED_MAX:
                    break
            else:
                ids.append(id_text)
                rows.append(row)
        if errors:
            first = errors[0]
            where = f"event {first['index']}, field {first['field'] or '(the event itself)'}"
            detail = f"Nothing was taken: {where}: {first['reason']}."
            raise Problem(422, "invalid-event", detail, errors=errors)
        return Batch(ids=ids, rows=rows)


def _array(body: bytes, depth_max: int) -> list[Any]:
    try:
        items = loads(body, depth_max=depth_max)
    except JsonRefused as refused:
        raise Problem(400, "malformed-json", f"The body was refused: {refused}.") from None
    if type(items) is not list:
        raise Problem(422, "invalid-event", "The body must be an array of events.")
    return items
