"""Shopify: base64 HMAC-SHA256 of the body in `X-Shopify-Hmac-Sha256`; newer deliveries leave `X-` out."""

import base64

from streams.inbound import Delivery, Headers, Keys, Outcome, Taken
from streams.sources.made_event import fingerprint, made_event, time_of
from streams.sources.trust import Trust
from streams.sources.webhooks.body import as_payload, member, parsed, text_at
from streams.sources.webhooks.proof import lacks_secret, must_prove, needed, secrets_of

_SIGNATURE = "hmac-sha256"


class Shopify:
    """No time is signed: the delivery's id tells a redelivery, nothing tells an old one."""

    def verify(self, delivery: Delivery, trust: Trust, keys: Keys) -> None:
        """Compare the digest of the raw body."""
        del keys
        shown = needed(delivery.headers, f"{_prefix(delivery.headers)}{_SIGNATURE}")
        must_prove([shown], secrets_of(trust), delivery.body, encode=base64.b64encode)

    def lacks(self, trust: Trust) -> str:
        """Say that a secret is missing."""
        return lacks_secret(trust)


class ShopifyForm:
    """`shopify.TOPIC`, its `/` as `.`, of an object of a shop."""

    def read(self, delivery: Delivery, source: str) -> Outcome:
        """Return the event; topic, shop and ids come by header."""
        body = parsed(delivery)
        prefix = _prefix(delivery.headers)

        def header(name: str) -> str:
            return delivery.headers.one(f"{prefix}{name}") or ""

        number, topic, shop = header("webhook-id"), header("topic"), header("shop-domain")
        thing = text_at(body, "id") or text_at(body, "admin_graphql_api_id")
        labels = {
            "provider": "shopify",
            "topic": topic,
            "shop": shop,
            "id": thing,
            "api_version": header("api-version"),
            "test": header("test"),
            "shopify_event": header("event-id"),
            "delivery": number,
        }
        # The id's header is not signed: taken off, the body itself tells a repetition.
        identity = (
            ("shopify", number) if number else ("shopify-body", shop, topic, fingerprint(delivery.body))
        )
        made = made_event(
            delivery,
            source,
            event=f"shopify.{topic.replace('/', '.') or 'received'}",
            resource_id="/".join(part for part in (shop, thing) if part),
            labels=labels,
            payload=as_payload(body),
            identity=identity,
            occurred=time_of(header("triggered-at")) or time_of(member(body, "updated_at")),
        )
        return Taken(events=[made])


def _prefix(headers: Headers) -> str:
    return "x-shopify-" if headers.all(f"x-shopify-{_SIGNATURE}") else "shopify-"
