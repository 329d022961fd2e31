"""POST /events."""

import orjson

from streams.clock import Clock
from streams.errors import Overload
from streams.gateway.body import read_body
from streams.gateway.body_form import claimed, handshake, parser_of_form
from streams.gateway.in_flight import InFlight
from streams.gateway.intake import Intake
from streams.gateway.item import Writer
from streams.gateway.parse import Batch, parse, parser_of
from streams.gateway.problem import Problem, unavailable
from streams.gateway.request import Answer, Request
from streams.inbound import BodyForm

IDEMPOTENCY_KEY_CHARS_MAX = 255
_ROW_OVERHEAD_BYTES = 200  # a row's tuple, key and objects in the client, beside its value


class PostEvents:
    """Body → checked events → Kafka → 202 with their ids in order."""

    def __init__(
        self,
        writer: Writer,
        intake: Intake,
        in_flight: InFlight,
        clock: Clock,
        form: BodyForm | None = None,
    ) -> None:
        """`form` is what is taken beside our own JSON."""
        self._writer = writer
        self._intake = intake
        self._in_flight = in_flight
        self._clock = clock
        self._form = form

    async def options(self, request: Request) -> Answer:
        """Answer a sender that asks whether it may send."""
        if self._form is None:
            raise Problem(405, "method", "Use POST here.", headers=((b"allow", b"POST"),))
        return handshake(self._form, request, self._clock.now_us())

    async def __call__(self, request: Request) -> Answer:
        """Answer the request; raises Problem, or SenderGone when nobody waits for an answer."""
        form = claimed(self._form, request)
        parser = (
            parser_of(request.text(b"content-type"))
            if form is None
            else parser_of_form(form, request, self._clock)
        )
        key = _idempotency_key(request)
        share = self._in_flight.share()
        batch: Batch | None = None
        try:
            body = await read_body(request, bytes_max=self._writer.limits.body_bytes, share=share)
            share.work()
            batch = await parse(
                body,
                parser,
                self._writer,
                received_us=self._clock.now_us(),
                idempotency_key=key,
                foreign=form is not None,
            )
            del body
            share.take(sum(len(row[2]) for row in batch.rows) + _ROW_OVERHEAD_BYTES * len(batch.rows))
            if batch.rows:
                await self._intake.accept(batch)
            return Answer(202, orjson.dumps({"ids": batch.ids}))
        except Overload as overload:
            ids = batch.ids if batch else ()
            raise unavailable(
                "overload", f"{overload}.", ids=ids, retry_after_s=overload.retry_after_s
            ) from None
        finally:
            share.leave()


def _idempotency_key(request: Request) -> str | None:
    raw = request.headers.get(b"idempotency-key")
    if raw is None:
        return None
    key = raw.decode("latin-1").strip()
    if not key or len(key) > IDEMPOTENCY_KEY_CHARS_MAX:
        raise Problem(
            400, "idempotency-key", f"Idempotency-Key must have 1 to {IDEMPOTENCY_KEY_CHARS_MAX} characters."
        )
    return key
