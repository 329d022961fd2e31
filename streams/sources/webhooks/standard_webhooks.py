"""Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp`, `webhook-signature`; `svix-*` means the same."""

import base64
import re
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from streams.inbound import Delivery, Headers, Keys, Outcome, Taken, Unauthenticated
from streams.sources.made_event import made_event, time_of
from streams.sources.trust import Trust
from streams.sources.webhooks.body import as_payload, parsed, text_at
from streams.sources.webhooks.proof import (
    SIGNATURES_MAX,
    base64_bytes,
    fresh_s,
    lacks_secret,
    must_prove,
    needed,
    secrets_of,
)

_PREFIXES = ("webhook", "svix")
_SYMMETRIC, _PUBLIC, _PRIVATE = b"whsec_", b"whpk_", b"whsk_"
_KEY_BYTES = 32
# The text to sign joins id, time and body by full stops, so that an id with one could be cut elsewhere.
_ID = re.compile(r"[^.\s\x00-\x1f\x7f]{1,256}").fullmatch


class StandardWebhooks:
    """v1 (HMAC-SHA256 with `whsec_` secrets) and v1a (ed25519 with `whpk_` keys)."""

    def verify(self, delivery: Delivery, trust: Trust, keys: Keys) -> None:
        """Check id, time and signatures; what is neither v1 nor v1a is passed over."""
        del keys
        prefix = sent_as(delivery.headers)
        number, time, shown = (needed(delivery.headers, f"{prefix}-{name}") for name in _FIELDS)
        if not _ID(number):
            raise Unauthenticated("the id is none that can be signed")
        fresh_s(time, at_s=delivery.at_s, tolerance_s=trust.tolerance_s)
        message = b"%b.%b.%b" % (number.encode("latin-1"), time.encode(), delivery.body)
        secrets = _split(secrets_of(trust))
        public, symmetric = _shown(shown, "v1a,"), _shown(shown, "v1,")
        if any(_signed(key, text, message) for key in secrets.public for text in public):
            return
        must_prove(symmetric, secrets.symmetric, message, encode=base64.b64encode)

    def lacks(self, trust: Trust) -> str:
        """Say what is missing or unreadable in the secrets."""
        given = secrets_of(trust)
        found = _split(given)
        if len(found.symmetric) + len(found.public) < len(given):
            return "one of its secrets is neither whsec_ with base64 nor whpk_ with 32 bytes in base64"
        return lacks_secret(trust)


class StandardWebhooksForm:
    """`webhook.TYPE` with the payload's own type; the id of the message is the identity."""

    def read(self, delivery: Delivery, source: str) -> Outcome:
        """Return the event; a payload without `type` is `webhook.received`."""
        body = parsed(delivery)
        number = delivery.headers.one(f"{sent_as(delivery.headers)}-id") or ""
        thing = text_at(body, "data", "id")
        kind = text_at(body, "type")
        return Taken(
            events=[
                made_event(
                    delivery,
                    source,
                    event=f"webhook.{kind or 'received'}",
                    resource_id=f"{source}/{thing}" if thing else source,
                    labels={"provider": "webhook", "type": kind, "delivery": number},
                    payload=as_payload(body),
                    identity=("standard-webhooks", number) if number else (),
                    occurred=time_of(_member(body, "timestamp")),
                )
            ]
        )


def sent_as(headers: Headers) -> str:
    """Return the prefix of the headers that count: a whole set of one prefix, never a mixture."""
    for prefix in _PREFIXES:
        if all(headers.all(f"{prefix}-{name}") for name in _FIELDS):
            return prefix
    return _PREFIXES[0]


_FIELDS = ("id", "timestamp", "signature")


class _Keys(NamedTuple):
    symmetric: list[bytes]
    public: list[Ed25519PublicKey]


def _split(secrets: list[bytes]) -> _Keys:
    """Sort the secrets: a public key is never taken for an HMAC's secret, since everybody may know it."""
    found = _Keys([], [])
    for secret in secrets:
        if secret.startswith(_PUBLIC):
            raw = base64_bytes(secret.removeprefix(_PUBLIC))
            if raw is not None and len(raw) == _KEY_BYTES:
                found.public.append(Ed25519PublicKey.from_public_bytes(raw))
        elif not secret.startswith(_PRIVATE):
            raw = base64_bytes(secret.removeprefix(_SYMMETRIC))
            if raw:
                found.symmetric.append(raw)
    return found


def _shown(text: str, version: str) -> list[str]:
    found = [token.removeprefix(version) for token in text.split(" ") if token.startswith(version)]
    return found[:SIGNATURES_MAX]


def _signed(key: Ed25519PublicKey, text: str, message: bytes) -> bool:
    signature = base64_bytes(text)
    if signature is None:
        return False
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _member(body: Any, name: str) -> Any:
    return body.get(name) if isinstance(body, dict) else None
