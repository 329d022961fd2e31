"""POST /hooks/NAME: deliveries of configured sources."""

import hmac

import orjson

from streams.errors import Overload, Poison, Transport
from streams.gateway.body import read_body
from streams.gateway.in_flight import InFlight
from streams.gateway.intake import Intake
from streams.gateway.ports import Delivery, Hooks
from streams.gateway.problem import Problem, unavailable
from streams.gateway.request import Answer, Request
from streams.gateway.strict_json import JsonRefused, loads
from streams.settings import LimitSettings

PREFIX = "/hooks/"


class PostHook:
    """Authenticate → parse → events → Kafka → 202. What cannot be used is kept whole in the dead letters.

    Such a delivery is answered 202 too, once the dead letter is acknowledged: a bucket that gets a 4xx sends
    the same again for ever and holds everything behind it back.
    """

    def __init__(self, hooks: Hooks, intake: Intake, in_flight: InFlight, limits: LimitSettings) -> None:
        self._hooks = hooks
        self._intake = intake
        self._in_flight = in_flight
        self._limits = limits

    async def __call__(self, request: Request) -> Answer:
        """Answer the request; raises Problem, or SenderGone when nobody waits for an answer."""
        name = request.path.removeprefix(PREFIX)
        hook = self._hooks.get(name)
        if hook is None:
            raise Problem(404, "no-such-source", "There is no source of this name; add it under [sources].")
        _authorize(hook.token, request)
        share = self._in_flight.share()
        try:
            raw = await read_body(request, bytes_max=self._limits.body_bytes, share=share)
            share.work()
            return await self._take(name, raw, request)
        except Overload as overload:
            raise unavailable("overload", f"{overload}.", retry_after_s=overload.retry_after_s) from None
        except Transport:
            raise unavailable(
                "not-acknowledged",
                "Kafka did not acknowledge; send the same again, nothing is counted twice.",
            ) from None
        finally:
            share.leave()

    async def _take(self, name: str, raw: bytes, request: Request) -> Answer:
        unusable: list[str] = []
        delivery: Delivery | None = None
        reason = "unusable_record"
        try:
            delivery = self._hooks[name].events(loads(raw, depth_max=self._limits.depth))
            unusable.extend(delivery.unusable)
        except JsonRefused as refused:
            reason = "malformed_json"
            unusable.append(f"the body is not JSON as we take it: {refused}")
        except Poison as poison:
            reason = poison.reason
            unusable.append(str(poison))
        ids: list[str] = []
        if delivery is not None:
            await self._intake.publish(delivery.events)
            ids = [event.id for event in delivery.events]
        fields: dict[str, object] = {"ids": ids}
        if unusable:
            error = f"source {name}: {'; '.join(unusable)[:2000]}"
            kind = orjson.dumps({"content-type": request.text(b"content-type")[:200]}).decode()
            fields["dead_letter"] = await self._intake.bury(
                raw, source=name, reason=reason, error=error, headers=kind
            )
            fields["reasons"] = unusable[:20]
        return Answer(202, orjson.dumps(fields))


def _authorize(token: str | None, request: Request) -> None:
    if token is None:
        # Without a credential of its own: refuse what a foreign page may send without being asked.
        kind = request.text(b"content-type").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Problem(415, "content-type", "Send application/json, or give the source a token.")
        return
    shown = request.headers.get(b"authorization", b"")
    expected = f"Bearer {token}".encode()
    if not hmac.compare_digest(shown, expected):
        raise Problem(
            401,
            "unauthorized",
            "This source wants its bearer token.",
            headers=((b"www-authenticate", b"Bearer"),),
        )
