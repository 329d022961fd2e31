"""/hooks/NAME: deliveries of configured sources."""

from collections.abc import Mapping
from dataclasses import replace

import orjson

from schemas.dead_letter import Reason
from schemas.event import Event
from schemas.new_id import new_id
from streams.clock import Clock
from streams.errors import Overload, Poison, Transport
from streams.gateway.body import read_body
from streams.gateway.in_flight import InFlight
from streams.gateway.intake import Intake
from streams.gateway.outbound import FetchedKeys, Outbound, Unreachable
from streams.gateway.problem import Problem, unavailable
from streams.gateway.request import Answer, Request, answer_of_reply, delivery_of
from streams.gateway.source_counters import SourceCounters
from streams.inbound import (
    Call,
    Delivery,
    Headers,
    HookSource,
    KeyMissing,
    Outcome,
    Reply,
    Taken,
    Unauthenticated,
)
from streams.settings import LimitSettings

PREFIX = "/hooks/"
_KEYS_PER_DELIVERY_MAX = 2
# Kept with a dead letter, because forms read them when it is retried; everything else may be a credential.
_HEADERS_KEPT = (
    "content-type",
    "user-agent",
    "content-encoding",
    "webhook-id",
    "webhook-timestamp",
    "svix-id",
    "svix-timestamp",
    "x-github-event",
    "x-github-delivery",
    "x-github-hook-id",
    *(
        f"{prefix}shopify-{name}"
        for prefix in ("x-", "")
        for name in ("topic", "shop-domain", "event-id", "webhook-id", "triggered-at", "api-version")
    ),
    "x-slack-request-timestamp",
    "x-amz-sns-message-type",
    "x-amz-sns-message-id",
    "x-amz-sns-topic-arn",
    "x-amz-sns-rawdelivery",
    "aeg-event-type",
    "idempotency-key",
    "x-webhook-id",
    "x-webhook-timestamp",
    "x-delivery-id",
    "x-request-id",
    "x-request-timestamp",
    "x-signature-timestamp",
    "x-timestamp",
)
# That they stood there tells how the other headers are called; what they said is not kept.
_SIGNATURES = ("webhook-signature", "svix-signature", "x-shopify-hmac-sha256", "shopify-hmac-sha256")
_HEADER_CHARS_MAX = 1000
_CLOUD_EVENT = "ce-"
# A page may add these only after asking by a preflight, which is never granted: a CloudEvent in binary mode
# has any Content-Type, a handshake none.
_NO_PAGE_SENDS = frozenset((b"ce-specversion", b"webhook-request-origin"))


class PostHook:
    """Authenticate → parse → events → Kafka → 2xx. What cannot be used is kept whole in the dead letters.

    Such a delivery is answered 2xx too, once the dead letter is acknowledged: a sender that gets a 4xx sends
    the same again for ever and holds everything behind it back.
    """

    def __init__(
        self,
        hooks: Mapping[str, HookSource],
        intake: Intake,
        in_flight: InFlight,
        limits: LimitSettings,
        clock: Clock,
        outbound: Outbound,
    ) -> None:
        self.counters = SourceCounters()
        self._hooks = hooks
        self._intake = intake
        self._in_flight = in_flight
        self._limits = limits
        self._clock = clock
        self._outbound = outbound
        self._keys = FetchedKeys()

    async def __call__(self, request: Request) -> Answer:
        """Answer the request; raises Problem, or SenderGone when nobody waits for an answer."""
        name = request.path.removeprefix(PREFIX)
        source = self._hooks.get(name)
        if source is None:
            raise Problem(404, "no-such-source", "There is no source of this name; add it under [sources].")
        if not source.credential:
            _refuse_pages(request)
        count = self.counters.of(name)
        share = self._in_flight.share()
        try:
            raw = await read_body(request, bytes_max=self._limits.body_bytes, share=share)
            share.work()
            return await self._take(name, source, delivery_of(request, raw, self._clock.now_us()))
        except Unauthenticated:
            count.unauthenticated += 1
            # RFC 9110 asks for a challenge; this one tells nothing of the scheme.
            headers = ((b"www-authenticate", b"Ensue"),)
            text = "The sender did not prove who it is."
            raise Problem(401, "unauthorized", text, headers=headers) from None
        except Overload as overload:
            raise unavailable("overload", f"{overload}.", retry_after_s=overload.retry_after_s) from None
        except Unreachable:
            text = "What the sender must be compared with could not be fetched; send the same again."
            raise unavailable("not-reachable", text) from None
        except Transport:
            raise unavailable(
                "not-acknowledged",
                "Kafka did not acknowledge; send the same again, nothing is counted twice.",
            ) from None
        finally:
            share.leave()

    async def _take(self, name: str, source: HookSource, delivery: Delivery) -> Answer:
        count = self.counters.of(name)
        reason = "unusable_record"
        try:
            outcome = await self._judged(source, delivery)
            if isinstance(outcome, Call):
                await self._outbound.confirm(outcome.url)
                outcome = outcome.reply
        except Poison as poison:
            outcome, reason = Taken(unusable=[str(poison)]), poison.reason
        count.authenticated(delivery.at_s)
        if isinstance(outcome, Reply):
            answer = answer_of_reply(outcome)
            if answer.status >= 400 and not answer.body:
                text = "This source does not take that."
                raise Problem(answer.status, "refused", text, headers=answer.headers)
            return answer
        events, misfits = self._intake.sorted_out(
            [event if event.id else _with_id(event) for event in outcome.events]
        )
        if misfits:
            reason = Reason.WRONG_PAYLOAD if not outcome.unusable else reason
            outcome = replace(outcome, unusable=[*outcome.unusable, *(text for _, text in misfits)])
        await self._intake.write(events)
        count.events += len(events)
        fields: dict[str, object] = {"ids": [event.id for event in events]}
        if outcome.unusable:
            count.unusable += len(outcome.unusable)
            error = f"source {name}: {'; '.join(outcome.unusable)[:2000]}"
            fields["dead_letter"] = await self._intake.bury(
                delivery.body, source=name, reason=reason, error=error, headers=_kept(delivery.headers)
            )
            fields["reasons"] = list(outcome.unusable[:20])
        return Answer(outcome.status, orjson.dumps(fields))

    async def _judged(self, source: HookSource, delivery: Delivery) -> Outcome:
        """Ask the source, fetching the keys that it names; raises Unreachable when one cannot be had."""
        for _ in range(_KEYS_PER_DELIVERY_MAX):
            try:
                return source.receive(delivery, self._keys)
            except KeyMissing as missing:
                self._keys.keep(missing.url, await self._outbound.get(missing.url))
        try:
            return source.receive(delivery, self._keys)
        except KeyMissing:
            raise Unauthenticated("it names one key after the other") from None


def _with_id(event: Event) -> Event:
    """Give an event an id that its sender gave none: sent again, it is another event."""
    number = new_id()
    return replace(event, id=number, correlation_id=number)


def _kept(headers: Headers) -> str:
    """Return the headers that a dead letter keeps: those that can hold no credential.

    The attributes of a CloudEvent in binary mode are there to be seen by everybody (its specification,
    Privacy and Security), and without them its body says nothing.
    """
    kept = {name: value[:_HEADER_CHARS_MAX] for name in _HEADERS_KEPT for value in headers.all(name)[:1]}
    kept |= {name: "removed" for name in _SIGNATURES if headers.all(name)}
    kept |= {name: value[:_HEADER_CHARS_MAX] for name, value in headers if name.startswith(_CLOUD_EVENT)}
    return orjson.dumps(kept).decode()


def _refuse_pages(request: Request) -> None:
    """Without a credential of its own: refuse what a foreign page may send without being asked."""
    if _NO_PAGE_SENDS & request.headers.keys():
        return
    kind = request.text(b"content-type").partition(";")[0].strip().lower()
    if kind not in {"application/json", "application/x-ndjson"} and not kind.startswith(
        "application/cloudevents"
    ):
        raise Problem(415, "content-type", "Send application/json, or give the source a secret.")
