"""`Authorization: Basic`: user and password as RFC 7617 has them; a secret reads `user:password`."""

import hmac

from streams.inbound import Delivery, Keys, Unauthenticated
from streams.sources.trust import Trust
from streams.sources.webhooks.proof import base64_bytes, lacks_secret, secrets_of

_PREFIX = "basic "


class Basic:
    """UTF-8, the word Basic in any case."""

    def verify(self, delivery: Delivery, trust: Trust, keys: Keys) -> None:
        """Compare with every pair, so that the time taken tells nothing."""
        del keys
        shown = delivery.headers.one("authorization") or ""
        pair = base64_bytes(shown[len(_PREFIX) :].strip(" ")) or b""
        known = [hmac.compare_digest(pair, secret) for secret in secrets_of(trust) if b":" in secret]
        if not shown.lower().startswith(_PREFIX) or not any(known):
            raise Unauthenticated("no valid user and password")

    def lacks(self, trust: Trust) -> str:
        """Say that a secret is missing or no pair."""
        if any(b":" not in secret for secret in secrets_of(trust)):
            return "one of its secrets is not of the form user:password"
        return lacks_secret(trust)
