"""What `ensue sources test` sends is taken by the sources' own code, and a changed byte is not."""

import json
from typing import Any

import pytest

from streams.cli.source_samples import Maker, sample
from streams.errors import BadInput
from streams.gateway.outbound import FetchedKeys
from streams.inbound import Delivery, Headers, Taken, Unauthenticated
from streams.source_settings import HttpSourceSettings
from streams.sources.kinds import hook_source
from streams.sources.trust import Trust

pytestmark = pytest.mark.unit
NOW_S = 1_800_000_000.5
MARK = "ensue-test-0123abcd"
HMAC = {
    "header": "X-Sig",
    "template": "{id}.{timestamp}.{body}",
    "timestamp_header": "X-Sent",
    "id_header": "X-Id",
    "encoding": "base64url",
    "algorithm": "sha512",
    "prefix": "v=",
}
CASES: list[tuple[str, bytes, str, dict[str, Any]]] = [
    ("none", b"", "", {}),
    ("bearer", b"secret", "", {}),
    ("basic", b"ann:secret", "", {}),
    ("hmac", b"secret", "", {}),
    ("hmac", b"secret", "", {"hmac": HMAC}),
    ("hmac", b"c2VjcmV0", "", {"hmac": {"template": "{timestamp}.{body}", "secret_encoding": "base64"}}),
    ("standard-webhooks", b"whsec_c2VjcmV0", "", {}),
    ("github", b"secret", "", {}),
    ("stripe", b"whsec_text", "", {}),
    ("slack", b"secret", "", {}),
    ("shopify", b"secret", "", {}),
    ("cloudevents", b"secret", "", {}),
    ("s3", b"secret", "", {}),
    ("minio", b"secret", "", {}),
    ("eventbridge", b"secret", "", {}),
    ("gcs", b"", "token", {}),
    ("pubsub", b"", "token", {}),
    ("azure", b"", "token", {}),
    ("eventgrid", b"", "token", {}),
]


def sent(kind: str, secret: bytes, token: str, fields: dict[str, Any], trusted: bytes) -> Taken:
    """What a source that trusts a secret makes of the sample."""
    settings = HttpSourceSettings.model_validate({"kind": kind, **fields})
    made = sample(Maker(settings=settings, secret=secret, token=token, mark=MARK, now_s=NOW_S))
    trust = Trust(
        secrets=(trusted,) if trusted else (), query_token="token" if token else None, hmac=settings.hmac
    )
    delivery = Delivery(
        headers=Headers.of(made.headers),
        body=made.body,
        query="&".join(f"{name}={value}" for name, value in made.query.items()),
        at_s=NOW_S,
    )
    taken = hook_source(kind, "shop", lambda: trust).receive(delivery, FetchedKeys())
    assert isinstance(taken, Taken)
    return taken


@pytest.mark.parametrize(("kind", "secret", "token", "fields"), CASES)
async def test_a_sample_is_taken_and_found_by_its_mark(
    kind: str, secret: bytes, token: str, fields: dict[str, Any]
) -> None:
    """One event comes of it, and the mark stands in its labels or payload."""
    taken = sent(kind, secret, token, fields, secret)
    assert not taken.unusable
    (event,) = taken.events
    assert MARK in json.dumps([dict(event.resource), dict(event.payload)])


@pytest.mark.parametrize(
    ("kind", "secret", "token", "fields"), [case for case in CASES if case[1] or case[2]]
)
async def test_a_sample_with_another_secret_is_refused(
    kind: str, secret: bytes, token: str, fields: dict[str, Any]
) -> None:
    """So that a good answer says something about the secret."""
    other = b"other:" + secret if kind == "basic" else secret[:-4] + b"QUJD"
    with pytest.raises(Unauthenticated):
        sent(kind, other, "wrong" if token else "", fields, secret)


def test_what_only_the_provider_can_sign_is_said() -> None:
    """No sample pretends."""
    for fields in (
        {"kind": "sns"},
        {"kind": "pubsub", "audience": "us"},
        {"kind": "azure", "audience": "us"},
    ):
        settings = HttpSourceSettings.model_validate(fields)
        with pytest.raises(BadInput, match="cannot be tested from here"):
            sample(Maker(settings=settings, secret=b"", token="", mark=MARK, now_s=NOW_S))
