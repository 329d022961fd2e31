"""A secret that the sender shows as it is: `Authorization: Bearer SECRET`."""

import hmac

from streams.inbound import Delivery, Keys, Unauthenticated
from streams.sources.trust import Trust

_PREFIX = "bearer "


class Bearer:
    """RFC 6750; the word Bearer in any case."""

    def verify(self, delivery: Delivery, trust: Trust, keys: Keys) -> None:
        """Compare with every secret, so that the time taken tells nothing."""
        del keys
        shown = delivery.headers.one("authorization") or ""
        token = shown[len(_PREFIX) :].strip().encode("latin-1")
        known = [hmac.compare_digest(token, secret) for secret in trust.secrets]
        if not shown.lower().startswith(_PREFIX) or not token or not any(known):
            raise Unauthenticated("no valid bearer token")

    def lacks(self, trust: Trust) -> str:
        """Say that a secret is missing."""
        return "" if any(trust.secrets) else "it has no secret, so every delivery is refused with 401"
