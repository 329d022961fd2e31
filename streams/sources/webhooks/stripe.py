"""Stripe: `Stripe-Signature: t=…,v1=…`, HMAC-SHA256 of `t.body` with the secret's text as it is."""

from streams.inbound import Delivery, Keys, Outcome, Taken, Unauthenticated
from streams.sources.made_event import fingerprint, made_event, time_of
from streams.sources.trust import Trust
from streams.sources.webhooks.body import as_payload, member, parsed, text_at
from streams.sources.webhooks.proof import (
    SIGNATURES_MAX,
    fresh_s,
    lacks_secret,
    must_prove,
    needed,
    secrets_of,
)


class Stripe:
    """Several v1 signatures while a secret is rolled; every other version is passed over."""

    def verify(self, delivery: Delivery, trust: Trust, keys: Keys) -> None:
        """Check the time both ways (Stripe's own library looks at old ones only) and the signatures."""
        del keys
        parts = [part.partition("=") for part in needed(delivery.headers, "stripe-signature").split(",")]
        times = [value for name, _, value in parts if name.strip() == "t"]
        if len(times) != 1:
            raise Unauthenticated("the signature has no time, or several")
        fresh_s(times[0], at_s=delivery.at_s, tolerance_s=trust.tolerance_s)
        shown = [value for name, _, value in parts if name.strip() == "v1"]
        must_prove(shown[:SIGNATURES_MAX], secrets_of(trust), b"%b.%b" % (times[0].encode(), delivery.body))

    def lacks(self, trust: Trust) -> str:
        """Say that a secret is missing."""
        return lacks_secret(trust)


class StripeForm:
    """`stripe.TYPE` of the object that it is about; the payload is Stripe's event object."""

    def read(self, delivery: Delivery, source: str) -> Outcome:
        """Return the event, of snapshots (v1) and of thin notifications (v2)."""
        body = parsed(delivery)
        number = text_at(body, "id")
        thing = text_at(body, "data", "object", "id") or text_at(body, "related_object", "id")
        livemode = member(body, "livemode")
        labels = {
            "provider": "stripe",
            "type": text_at(body, "type"),
            "object": text_at(body, "data", "object", "object") or text_at(body, "related_object", "type"),
            "account": text_at(body, "account") or text_at(body, "context"),
            "livemode": livemode if isinstance(livemode, bool) else "",
            "api_version": text_at(body, "api_version"),
            "delivery": number,
        }
        return Taken(
            events=[
                made_event(
                    delivery,
                    source,
                    event=f"stripe.{text_at(body, 'type') or 'received'}",
                    resource_id=thing,
                    labels=labels,
                    payload=as_payload(body),
                    identity=("stripe", number) if number else ("stripe-body", fingerprint(delivery.body)),
                    occurred=time_of(member(body, "created")),
                )
            ]
        )
