"""Who sends for Azure Event Grid: a secret in the address, a token of Microsoft Entra, or both."""

import re

from streams.inbound import Delivery, Keys, Unauthenticated
from streams.sources.carried_event import media_type
from streams.sources.id_token import verified_claims
from streams.sources.shown_secret import secret_shown, token_in_address
from streams.sources.trust import Trust

KEYS_URL = "https://login.microsoftonline.com/common/discovery/v2.0/keys"
_ISSUER = re.compile(
    r"https://(login\.microsoftonline\.com/[0-9A-Za-z.-]+/v2\.0|sts\.windows\.net/[0-9A-Za-z.-]+/)"
)
ANY_ORIGIN = "*"


class EventGridSender:
    """What is configured of these must hold: the token in the address; Entra's token, else a secret.

    All tenants' tokens are signed with the same keys, so `issuers` must name the tenant. Where nothing is
    configured the source is open, to bodies that a foreign page cannot send unasked. The CloudEvents
    handshake (OPTIONS) is for origins on the list.
    """

    def lacks(self, trust: Trust) -> str:
        """Say what is missing beside a token's audience."""
        if (trust.audience or trust.issuers) and not (trust.audience and trust.issuers):
            return "a token of Entra needs audience and issuers, so every delivery is refused with 401"
        return ""

    def verify(self, delivery: Delivery, trust: Trust, keys: Keys) -> None:
        """Compare with all that is configured."""
        if trust.query_token and not token_in_address(delivery, trust):
            raise Unauthenticated("the token in the address is wrong")
        if delivery.method == "OPTIONS":
            _check_origin(delivery, trust)
        elif trust.audience or trust.jwks is not None or trust.issuers:
            issuers = [issuer for issuer in trust.issuers if _ISSUER.fullmatch(issuer)]
            verified_claims(delivery, trust, keys, issuers=issuers, keys_url=KEYS_URL)
        elif trust.secrets:
            if not secret_shown(delivery, trust):
                raise Unauthenticated("it shows no valid secret")
        elif not trust.query_token and not _is_json(media_type(delivery)):
            raise Unauthenticated("without a credential only JSON is taken")


def _check_origin(delivery: Delivery, trust: Trust) -> None:
    origin = delivery.headers.one("webhook-request-origin") or ""
    if not origin or (ANY_ORIGIN not in trust.allowed_origins and origin not in trust.allowed_origins):
        raise Unauthenticated("the origin is not on the source's list")


def _is_json(kind: str) -> bool:
    return kind == "application/json" or kind.startswith("application/cloudevents")
