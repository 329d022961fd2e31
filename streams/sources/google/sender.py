"""Who pushes for Google Cloud: a token that Google issued for one service account, for our audience."""

from streams.inbound import Delivery, Keys, Unauthenticated
from streams.sources.id_token import verified_claims
from streams.sources.shown_secret import secret_shown, token_in_address
from streams.sources.trust import Trust

KEYS_URL = "https://www.googleapis.com/oauth2/v3/certs"
ISSUERS = ("https://accounts.google.com", "accounts.google.com")


class GoogleSender:
    """What is configured of these must hold: the token in the address; the signed token, else a secret.

    Google signs a token for any audience that a service account of anybody's asks for, so the account's
    address must be configured and verified as well.
    """

    def lacks(self, trust: Trust) -> str:
        """Say what is missing beside a token's audience."""
        token = trust.audience or trust.email or trust.issuers
        if token and not (trust.audience and trust.email):
            return "a token of Google needs both audience and email, so every delivery is refused with 401"
        return ""

    def verify(self, delivery: Delivery, trust: Trust, keys: Keys) -> None:
        """Compare with all that is configured."""
        if trust.query_token and not token_in_address(delivery, trust):
            raise Unauthenticated("the token in the address is wrong")
        if trust.audience or trust.email or trust.jwks is not None or trust.issuers:
            if not trust.email:
                raise Unauthenticated("the source has no email, so no token is of its account")
            verified_claims(
                delivery,
                trust,
                keys,
                issuers=trust.issuers or ISSUERS,
                keys_url=KEYS_URL,
                wanted={"email": trust.email, "email_verified": True},
            )
        elif trust.secrets:
            if not secret_shown(delivery, trust):
                raise Unauthenticated("it shows no valid secret")
        elif not trust.query_token:
            raise Unauthenticated("the source has nothing to compare with")
