"""Tokens of Google and Entra: what is taken and what never is, with the receiver's clock standing still."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from streams.inbound import Delivery, Headers, KeyMissing, Unauthenticated
from streams.sources.azure.sender import EventGridSender
from streams.sources.google.sender import KEYS_URL, GoogleSender
from streams.sources.trust import Trust
from tests.token_case import NOW_S, jwks, private_key, public_jwk, public_pem, token

pytestmark = pytest.mark.unit
AUDIENCE = "https://ensue.example/hooks/inbox"
EMAIL = "push@project.iam.gserviceaccount.com"
CLAIMS: dict[str, Any] = {
    "iss": "https://accounts.google.com",
    "aud": AUDIENCE,
    "azp": "113774264463038321964",
    "email": EMAIL,
    "email_verified": True,
    "iat": NOW_S - 10,
    "exp": NOW_S + 3590,
    "sub": "113774264463038321964",
}
TRUST = Trust(jwks=jwks(), audience=AUDIENCE, email=EMAIL)


class Fetched:
    """Implements `streams.inbound.Keys` over one set."""

    def __init__(self, raw: bytes | None = None) -> None:
        self.raw = raw

    def get(self, url: str) -> bytes | None:
        """Return the set of Google's address."""
        return self.raw if url == KEYS_URL else None


def verify(text: str, trust: Trust = TRUST, raw: bytes | None = None, *, shown: str = "Bearer") -> None:
    """Judge a delivery with this token."""
    headers = Headers.of({"Authorization": f"{shown} {text}"} if text else {})
    GoogleSender().verify(Delivery(headers=headers, at_s=NOW_S), trust, Fetched(raw))


def b64(value: object) -> str:
    """A part of a token, made by hand."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"iss": "accounts.google.com"},
        {"aud": ["x", AUDIENCE]},
        {"exp": NOW_S - 59, "iat": NOW_S - 3600},
        {"iat": NOW_S + 59},
        {"nbf": NOW_S - 1},
    ],
)
def test_googles_token_is_taken(change: dict[str, Any]) -> None:
    """Both spellings of the issuer, a list of audiences, clocks a minute apart."""
    verify(token({**CLAIMS, **change}))
    verify(token({**CLAIMS, **change}), shown="bearer")


def test_es256_and_fetched_keys_are_taken() -> None:
    """A set that was fetched counts like one that was given, and ES256 like RS256."""
    trust = Trust(audience=AUDIENCE, email=EMAIL)
    both = json.dumps({"keys": [public_jwk("one"), public_jwk("two", "ec", alg="ES256")]}).encode()
    verify(token(CLAIMS), trust, both)
    verify(token(CLAIMS, key="two", alg="ES256"), trust, both)


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://accounts.google.com.evil.com"},
        {"iss": "https://securetoken.google.com/x"},
        {"iss": None},
        {"iss": ["https://accounts.google.com"]},
        {"aud": AUDIENCE + "/"},
        {"aud": None},
        {"aud": []},
        {"aud": {"x": AUDIENCE}},
        {"email": "push@other.iam.gserviceaccount.com"},
        {"email": EMAIL.upper()},
        {"email": None},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email_verified": 1},
        {"email_verified": None},
        {"exp": NOW_S - 60},
        {"exp": None},
        {"exp": str(NOW_S + 100)},
        {"exp": True},
        {"iat": NOW_S + 61},
        {"iat": None},
        {"nbf": NOW_S + 61},
        {"nbf": "soon"},
    ],
)
def test_a_token_that_says_something_else_is_refused(change: dict[str, Any]) -> None:
    """Issuer, audience, account and times must all fit, each with its type."""
    # Made by hand where PyJWT itself would refuse to write such a claim.
    claims = {name: value for name, value in {**CLAIMS, **change}.items() if value is not None}
    text = f"{b64({'alg': 'RS256', 'kid': 'one'})}.{b64(claims)}"
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    made = private_key().sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    with pytest.raises(Unauthenticated):
        verify(f"{text}.{b64(made)}")


def test_a_token_signed_otherwise_is_refused() -> None:
    """Another key, no signature, an HMAC with the public key, keys that the token brings itself."""
    good = token(CLAIMS)
    head, claims, made = good.split(".")
    pem = public_pem()
    confused = f"{b64({'alg': 'HS256', 'kid': 'one', 'typ': 'JWT'})}.{claims}"
    mac = hmac.new(pem, confused.encode(), hashlib.sha256).digest()
    for text in (
        token(CLAIMS, key="two").replace(b64({"kid": "two"}), ""),
        token(CLAIMS, key="two", kid="one"),
        token(CLAIMS, alg="RS512"),
        token(CLAIMS, alg="PS256"),
        token(CLAIMS, jku="https://evil.com/keys"),
        token(CLAIMS, x5u="https://evil.com/cert"),
        token(CLAIMS, jwk=public_jwk("two"), kid="two", key="two"),
        token(CLAIMS, key="two", kid=None),
        f"{b64({'alg': 'none'})}.{claims}.",
        f"{b64({'alg': 'None', 'kid': 'one'})}.{claims}.{made}",
        f"{confused}.{b64(mac)}",
        f"{head}.{b64({**CLAIMS, 'sub': '1'})}.{made}",
        f"{head}.{claims}.{b64(b'x' * 256)}",
        f"{head}.{claims}.",
        f"{head}.{claims}",
        f"{head}.{claims}.{made}.{made}",
        f"{b64(b'[' * 5000)}.{claims}.{made}",
        f"{b64(b'[]')}.{claims}.{made}",
        f"{head}.{b64(b'{')}.{made}",
        "a.b.c",
        "..",
        "ä.ö.ü",
        "x" * 20_000,
        "",
    ):
        with pytest.raises(Unauthenticated):
            verify(text)
    verify(good)
    with pytest.raises(Unauthenticated):
        verify(good, shown="Basic")


def test_keys_that_are_no_keys_prove_nothing() -> None:
    """Short keys, keys for encryption, of another algorithm, of another kind, and sets that are no sets."""
    good = token(CLAIMS)
    for keys in (
        {"keys": [{**public_jwk(), "use": "enc"}]},
        {"keys": [{**public_jwk(), "alg": "RS512"}]},
        {"keys": [public_jwk("one", "short")]},
        {"keys": [{**public_jwk("one", "ec"), "kid": "one"}]},
        {"keys": [{"kid": "one", "kty": "oct", "k": "AAAA"}]},
        {"keys": [{"kid": "one", "kty": "RSA", "n": "!", "e": None}]},
        {"keys": [7]},
        {"keys": {}},
        {},
    ):
        with pytest.raises(Unauthenticated):
            verify(good, Trust(jwks=keys, audience=AUDIENCE, email=EMAIL))


def test_keys_are_asked_for_only_by_tokens_that_say_the_right_things() -> None:
    """Strangers cannot make us fetch: issuer, audience and times are compared first."""
    trust = Trust(audience=AUDIENCE, email=EMAIL)
    with pytest.raises(KeyMissing) as missing:
        verify(token(CLAIMS), trust)
    assert missing.value.url == KEYS_URL
    for change in ({"aud": "x"}, {"iss": "x"}, {"exp": NOW_S - 3600}, {"email": "x"}, {"email_verified": 1}):
        with pytest.raises(Unauthenticated):
            verify(token({**CLAIMS, **change}), trust)
    with pytest.raises(KeyMissing):  # published since; how often that asks again is the door's affair
        verify(token(CLAIMS, key="two"), trust, json.dumps(jwks("one")).encode())
    with pytest.raises(Unauthenticated):
        verify(token(CLAIMS), trust, b"<html>")


def test_without_audience_or_account_no_token_is_good() -> None:
    """A forgotten setting closes the source; it never opens it."""
    for trust in (
        Trust(jwks=jwks(), email=EMAIL),
        Trust(jwks=jwks(), audience=AUDIENCE),
        Trust(email=EMAIL),
        Trust(),
    ):
        with pytest.raises(Unauthenticated):
            verify(token(CLAIMS), trust)
        assert trust == Trust() or GoogleSender().lacks(trust)


TENANT = "https://sts.windows.net/72f988bf-86f1-41af-91ab-2d7cd011db47/"


def entra(text: str, trust: Trust) -> None:
    """Judge a delivery of Event Grid with this token."""
    headers = Headers.of({"Authorization": f"Bearer {text}"})
    EventGridSender().verify(Delivery(headers=headers, at_s=NOW_S), trust, Fetched())


def test_entras_token_is_for_one_tenant() -> None:
    """All tenants share Microsoft's keys, so another tenant's token, and none configured, is refused."""
    trust = Trust(jwks=jwks(), audience="api://ensue", issuers=(TENANT,))
    claims = {**CLAIMS, "iss": TENANT, "aud": "api://ensue", "email": None}
    entra(token(claims), trust)
    for bad, believed in (
        ({**claims, "iss": TENANT.replace("72", "73")}, trust),
        ({**claims, "aud": "api://other"}, trust),
        (claims, Trust(jwks=jwks(), audience="api://ensue")),
        (claims, Trust(jwks=jwks(), issuers=(TENANT,))),
        (
            {**claims, "iss": "https://evil.com/"},
            Trust(jwks=jwks(), audience="api://ensue", issuers=("https://evil.com/",)),
        ),
    ):
        with pytest.raises(Unauthenticated):
            entra(token(bad), believed)
    assert EventGridSender().lacks(Trust(audience="api://ensue"))
    newer = "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0"
    entra(token({**claims, "iss": newer}), Trust(jwks=jwks(), audience="api://ensue", issuers=(newer,)))
