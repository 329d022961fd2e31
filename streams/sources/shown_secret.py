"""Secrets that a sender shows as they are: in Authorization, in X-Api-Key, or in the address."""

import base64
import binascii
import hmac
from collections.abc import Iterator
from urllib.parse import parse_qsl

from streams.inbound import Delivery, Keys, Unauthenticated
from streams.sources.trust import Trust

_QUERY_FIELDS_MAX = 100


class ShownSecret:
    """Bearer, Basic (its password, or user:password), X-Api-Key, or `?token=` where that is configured.

    Amazon's API destinations, MinIO and others offer one or the other; each proves the same. A token in the
    address has its own secret, because addresses get written down.
    """

    def verify(self, delivery: Delivery, trust: Trust, keys: Keys) -> None:
        """Accept a secret shown in a header, or the address's own token."""
        del keys
        if not (secret_shown(delivery, trust) or token_in_address(delivery, trust)):
            raise Unauthenticated("it shows no valid secret")


def secret_shown(delivery: Delivery, trust: Trust) -> bool:
    """Tell whether a header shows one of the secrets; every secret is compared, in constant time."""
    shown = list(_shown(delivery))
    known = [hmac.compare_digest(text, secret) for text in shown for secret in trust.secrets if secret]
    return any(known)


def token_in_address(delivery: Delivery, trust: Trust) -> bool:
    """Tell whether `?token=` stands in the address once and is the configured one."""
    if not trust.query_token:
        return False
    try:
        fields = parse_qsl(delivery.query, keep_blank_values=True, max_num_fields=_QUERY_FIELDS_MAX)
    except ValueError:
        return False
    tokens = [value for name, value in fields if name == "token"]
    if len(tokens) != 1:
        return False
    return hmac.compare_digest(tokens[0].encode("utf-8", "surrogatepass"), trust.query_token.encode())


def bearer_of(delivery: Delivery) -> str:
    """Return the bearer token in Authorization, empty when there is none; raises Doubled."""
    scheme, _, rest = (delivery.headers.one("authorization") or "").partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else ""


def _shown(delivery: Delivery) -> Iterator[bytes]:
    scheme, _, rest = (delivery.headers.one("authorization") or "").partition(" ")
    if scheme.lower() == "bearer" and rest.strip():
        yield rest.strip().encode("latin-1")
    if scheme.lower() == "basic":
        try:
            pair = base64.b64decode(rest.strip().encode("latin-1"), validate=True)
        except binascii.Error:
            pair = b""
        if b":" in pair:
            yield pair
            yield pair.partition(b":")[2]
    key = delivery.headers.one("x-api-key")
    if key:
        yield key.encode("latin-1")
