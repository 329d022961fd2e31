"""Signed identity tokens (OIDC) as Google and Microsoft send them: RS256 or ES256, by the issuer's own keys.

What a token says is compared before a key is asked for, so that strangers cannot make us fetch anything.
Nothing that the token names (`jku`, `x5u`, `jwk`) is ever used.
"""

import base64
import binascii
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from streams.inbound import Delivery, KeyMissing, Keys, Unauthenticated
from streams.sources.shown_secret import bearer_of
from streams.sources.trust import Trust
from streams.strict_json import JsonRefused, loads

LEEWAY_S = 60.0
_DEPTH_MAX = 16
_TOKEN_CHARS_MAX = 16_384
_RSA_BITS_MIN = 2048
_KEYS_ELSEWHERE = ("jku", "x5u", "jwk", "x5c", "crit", "b64")


def verified_claims(
    delivery: Delivery,
    trust: Trust,
    keys: Keys,
    *,
    issuers: Sequence[str],
    keys_url: str,
    wanted: Mapping[str, object] | None = None,
) -> Mapping[str, Any]:
    """Return what the delivery's token says, once it is proved.

    Args:
        delivery: Its Authorization carries the token, its `at_s` is the time that counts.
        trust: `audience` must be set; `jwks` takes the place of the issuer's published keys.
        keys: Fetched before.
        issuers: Who may have issued it.
        keys_url: Where the issuer publishes its keys.
        wanted: Further claims that it must have, types included.

    Raises Unauthenticated, KeyMissing and Doubled.

    """
    token = bearer_of(delivery)
    if not token or len(token) > _TOKEN_CHARS_MAX:
        raise Unauthenticated("no token")
    header, claims = _opened(token)
    algorithm, key_id = header.get("alg"), header.get("kid")
    if algorithm not in {"RS256", "ES256"} or any(name in header for name in _KEYS_ELSEWHERE):
        raise Unauthenticated("the token is signed in a way that is not taken")
    _check(claims, delivery.at_s, trust, issuers)
    for name, value in (wanted or {}).items():
        if type(claims.get(name)) is not type(value) or claims[name] != value:
            raise Unauthenticated(f"the token has another {name}")
    for key in _candidates(key_id, trust, keys, keys_url):
        if _signed(token, key, str(algorithm)):
            return claims
    raise Unauthenticated("the token's signature is wrong")


def _opened(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return header and claims, not believed yet."""
    parts = token.split(".")
    if len(parts) != 3:
        raise Unauthenticated("the token has not three parts")
    header, claims = (_part(text) for text in parts[:2])
    return header, claims


def _part(text: str) -> Mapping[str, Any]:
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        value = loads(raw, depth_max=_DEPTH_MAX)
    except (binascii.Error, UnicodeEncodeError, JsonRefused):
        raise Unauthenticated("the token is not readable") from None
    if not isinstance(value, Mapping):
        raise Unauthenticated("a part of the token is no object")
    return value


def _check(claims: Mapping[str, Any], at_s: float, trust: Trust, issuers: Sequence[str]) -> None:
    """Compare what the token says of itself; raises Unauthenticated."""
    if not trust.audience:
        raise Unauthenticated("the source has no audience, so no token is for it")
    if not isinstance(claims.get("iss"), str) or claims["iss"] not in issuers:
        raise Unauthenticated("the token has another issuer")
    audience = claims.get("aud")
    if audience != trust.audience and not (isinstance(audience, list) and trust.audience in audience):
        raise Unauthenticated("the token is for somebody else")
    if at_s >= _time(claims, "exp") + LEEWAY_S:
        raise Unauthenticated("the token is expired")
    if any(
        _time(claims, name) > at_s + LEEWAY_S for name in ("iat", "nbf") if name == "iat" or name in claims
    ):
        raise Unauthenticated("the token is not valid yet")


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unauthenticated(f"the token has no {name}")
    return float(min(max(value, 0), 1 << 53))


def _candidates(key_id: object, trust: Trust, keys: Keys, keys_url: str) -> list[Mapping[str, Any]]:
    """Return the keys that the token may be signed with; raises KeyMissing when they are not here."""
    given: Any = trust.jwks
    if given is None:
        raw = keys.get(keys_url)
        if raw is None:
            raise KeyMissing(keys_url)
        try:
            given = loads(raw, depth_max=_DEPTH_MAX)
        except JsonRefused:
            raise Unauthenticated("the issuer's keys are not readable") from None
    listed = given.get("keys") if isinstance(given, Mapping) else None
    known = [key for key in listed if isinstance(key, Mapping)] if isinstance(listed, list) else []
    if key_id is None:
        return known if len(known) == 1 else []
    found = [key for key in known if key.get("kid") == key_id]
    if not found and trust.jwks is None:
        raise KeyMissing(keys_url)  # published since; the door decides whether it asks again
    return found


def _signed(token: str, key: Mapping[str, Any], algorithm: str) -> bool:
    """Tell whether the key made this signature; a key of another type or use made none."""
    if key.get("use", "sig") != "sig" or key.get("alg", algorithm) != algorithm:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # short keys are refused right below
            public = jwt.PyJWK.from_dict(dict(key), algorithm=algorithm).key
            fits = (
                isinstance(public, RSAPublicKey) and public.key_size >= _RSA_BITS_MIN
                if algorithm == "RS256"
                else isinstance(public, EllipticCurvePublicKey) and isinstance(public.curve, SECP256R1)
            )
            if not fits:
                return False
            jwt.decode_complete(
                token,
                public,
                algorithms=[algorithm],
                # Times, issuer and audience were compared with the delivery's own clock.
                options={
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                    "verify_aud": False,
                    "verify_iss": False,
                    "verify_sub": False,
                    "verify_jti": False,
                },
            )
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return False
    return True
