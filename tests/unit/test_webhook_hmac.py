"""HMAC by settings: every choice, and what settings must not be able to say."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes

from streams.errors import BadInput
from streams.sources.kinds import hook_source, lacking
from streams.sources.trust import Trust
from streams.sources.webhooks.hmac_settings import hmac_settings
from tests.webhook_case import (
    AT_S,
    BODY,
    SchemeCase,
    delivered,
    mac,
    must_be_refused,
    rotations,
    the_event,
)

pytestmark = pytest.mark.unit
TIMED = {"header": "X-Sig", "template": "{timestamp}.{body}", "timestamp_header": "X-Sent"}


def sign(body: bytes, secret: str, _at_s: int) -> dict[str, str]:
    """A sender of the plainest sort."""
    return {"content-type": "text/plain", "x-signature": mac(secret.encode(), body).hex()}


PLAIN = SchemeCase(kind="hmac", sign=sign, secret="sécret", other="other", signature="x-signature")
# Hexadecimal is hexadecimal in either case.
REFUSALS = {name: attempt for name, attempt in PLAIN.refusals().items() if "case" not in name}


@pytest.mark.parametrize("name", REFUSALS)
async def test_what_is_not_proven_is_refused(name: str) -> None:
    """Every attack on signature, secret and body is 401 in the same words."""
    must_be_refused(await PLAIN.deliver(REFUSALS[name]))


@pytest.mark.parametrize("name", rotations(PLAIN))
async def test_what_is_proven_is_taken(name: str) -> None:
    """Every active secret counts, header names come in any case, the body may be any bytes."""
    assert (await PLAIN.deliver(rotations(PLAIN)[name]))["status"] == 202


async def tried(
    settings: Mapping[str, str], headers: Mapping[str, str], body: bytes = BODY, secret: str = "s"
) -> dict[str, Any]:
    """What becomes of a delivery under settings."""
    return await delivered(
        "hmac",
        {"content-type": "application/json", **headers},
        body,
        {"secret": secret, "hmac": dict(settings)},
    )


SHA: Mapping[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
    "sha1": hashes.SHA1(),
}


@pytest.mark.parametrize("algorithm", SHA)
@pytest.mark.parametrize("encoding", ["hex", "base64", "base64url"])
@pytest.mark.parametrize("prefix", ["", "v1="])
async def test_every_algorithm_encoding_and_prefix(algorithm: str, encoding: str, prefix: str) -> None:
    """What the settings name is taken, the same digest under another name is not."""
    digest = mac(b"s", BODY, SHA[algorithm])
    texts = {
        "hex": digest.hex(),
        "base64": base64.b64encode(digest).decode(),
        "base64url": base64.urlsafe_b64encode(digest).decode(),
    }
    settings = {"header": "X-Sig", "algorithm": algorithm, "encoding": encoding, "prefix": prefix}
    settings |= {"allow_weak": "yes"} if algorithm == "sha1" else {}
    the_event(await tried(settings, {"x-sig": prefix + texts[encoding]}))
    must_be_refused(await tried(settings, {"x-sig": f"x{prefix}{texts[encoding]}"}))
    must_be_refused(await tried(settings, {"x-signature": prefix + texts[encoding]}))
    if prefix:
        must_be_refused(await tried(settings, {"x-sig": texts[encoding]}))
    if encoding != "hex":
        must_be_refused(await tried(settings, {"x-sig": prefix + texts["hex"]}))


@pytest.mark.parametrize(
    "header", ["X-Signature", "X-Signature-256", "X-Hub-Signature-256", "X-Webhook-Signature"]
)
@pytest.mark.parametrize("prefix", ["", "sha256="])
async def test_without_settings_the_usual_headers_count(header: str, prefix: str) -> None:
    """SHA-256 of the body, hexadecimal or base64, with or without `sha256=`."""
    digest = mac(b"s", BODY)
    for text in (digest.hex(), base64.b64encode(digest).decode()):
        the_event(await delivered("hmac", {header: prefix + text}, BODY, "s"))


@pytest.mark.parametrize(
    ("unit", "text"),
    [("s", "{0}"), ("ms", "{0}000"), ("iso", None)],
)
async def test_a_signed_time_is_looked_at_in_its_unit(unit: str, text: str | None) -> None:
    """Seconds, milliseconds or ISO 8601; 300 s on both sides and no further."""
    settings = {**TIMED, "timestamp_unit": unit}
    for at_s, taken in (
        (AT_S, True),
        (AT_S - 300, True),
        (AT_S - 301, False),
        (AT_S + 300, True),
        (AT_S + 301, False),
    ):
        sent = datetime.fromtimestamp(at_s, UTC).isoformat() if text is None else text.format(at_s)
        digest = mac(b"s", sent.encode() + b"." + BODY).hex()
        told = await tried(settings, {"x-sig": digest, "x-sent": sent})
        assert (told["status"] == 202) is taken


@pytest.mark.parametrize("unit", ["s", "ms", "iso"])
@pytest.mark.parametrize(
    "sent", ["", "nan", "-1", "+1", "²", "é", "9" * 400, "1e9", "9999-12-31T23:59:59-23:59", "0001-01-01"]
)
async def test_a_time_that_is_none_is_refused(unit: str, sent: str) -> None:
    """Signed or not, odd times are 401."""
    digest = mac(b"s", sent.encode("latin-1") + b"." + BODY).hex()
    settings = {**TIMED, "timestamp_unit": unit}
    must_be_refused(await tried(settings, {"x-sig": digest, "x-sent": sent}))


async def test_the_template_says_what_is_signed() -> None:
    """Id, time and body in the order of the template; each of them changed is refused."""
    settings = {**TIMED, "template": "v0:{id}:{timestamp}:{body}{{x}}", "id_header": "X-Id"}
    digest = mac(b"s", b"v0:7:%d:%b{x}" % (AT_S, BODY)).hex()
    headers = {"x-sig": digest, "x-sent": str(AT_S), "x-id": "7"}
    event = the_event(await tried(settings, headers))
    assert event["resource"] == {"resource.id": "check", "provider": "webhook", "delivery": "7"}
    for name, value in (("x-id", "8"), ("x-sent", str(AT_S + 1)), ("x-id", ""), ("x-id", "7" * 300)):
        must_be_refused(await tried(settings, {**headers, name: value}))
    must_be_refused(await tried(settings, headers, BODY + b" "))
    # "7:1:…" signed as id 7 would be good as id "7:1" with the rest as its time.
    two = mac(b"s", b"v0:7:1:%d:%b{x}" % (AT_S, BODY)).hex()
    must_be_refused(await tried(settings, {**headers, "x-sig": two, "x-id": "7:1"}))


@pytest.mark.parametrize(
    "name", ["X-Timestamp", "X-Signature-Timestamp", "X-Request-Timestamp", "X-Webhook-Timestamp"]
)
@pytest.mark.parametrize("algorithm", ["SHA-512", "HMAC-SHA512", "hmac_sha512"])
async def test_the_usual_headers_hold_what_the_template_names(name: str, algorithm: str) -> None:
    """A time or an id whose header nobody named stands in one of the usual ones, and is signed."""
    settings = {"template": "{id}.{timestamp}.{body}", "algorithm": algorithm}
    digest = mac(b"s", b"7.%d.%b" % (AT_S, BODY), hashes.SHA512()).hex()
    headers = {"x-signature": digest, name: str(AT_S), "x-webhook-id": "7"}
    the_event(await tried(settings, headers))
    for more in ({name: str(AT_S + 1)}, {"x-webhook-id": "8"}, {name: str(AT_S - 301)}):
        must_be_refused(await tried(settings, {**headers, **more}))
    for missing in (name, "x-webhook-id"):
        must_be_refused(await tried(settings, {k: v for k, v in headers.items() if k != missing}))


@pytest.mark.parametrize(
    ("encoding", "secret", "key"),
    [
        ("text", "c2VjcmV0", b"c2VjcmV0"),
        ("base64", "c2VjcmV0", b"secret"),
        ("hex", "736563726574", b"secret"),
    ],
)
async def test_a_secret_may_be_encoded(encoding: str, secret: str, key: bytes) -> None:
    """The key is the text itself, or the bytes that it stands for."""
    settings = {"secret_encoding": encoding}
    the_event(await tried(settings, {"x-signature": mac(key, BODY).hex()}, secret=secret))
    must_be_refused(await tried(settings, {"x-signature": mac(key + b"x", BODY).hex()}, secret=secret))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"algorithm": "sha1"}, "weak"),
        ({"algorithm": "md5"}, "none of sha256"),
        ({"algorithm": "md5", "allow_weak": "yes"}, "none of sha256"),
        ({"encoding": "rot13"}, "none of hex"),
        ({"template": "{timestamp}"}, "no {body}"),
        ({"template": "nothing"}, "no {body}"),
        ({"template": "{body.__class__}"}, "nothing else"),
        ({"template": "{body!r}"}, "nothing else"),
        ({"template": "{0}{body}"}, "nothing else"),
        ({"template": "{body"}, "cannot be read"),
        ({"timestamp_header": "X-Sent"}, "does not sign"),
        ({"header": "X Sig"}, "no name of a header"),
        ({"header": ""}, "no name of a header"),
        ({"timestamp_unit": "h"}, "none of s, ms, iso"),
        ({"secret_encoding": "rot13"}, "none of text"),
        ({"pepper": "x"}, "does not exist"),
        ({"header": 1}, "must be a text"),
    ],
)
async def test_settings_that_promise_nothing_are_refused_at_the_start(
    settings: Mapping[str, Any], said: str
) -> None:
    """A weak digest unasked for, an unsigned body, an unsigned time: a sentence, and never an open door."""
    with pytest.raises(BadInput, match=said):
        hmac_settings(settings)
    with pytest.raises(BadInput, match=said):
        hook_source("hmac", "a", lambda: Trust(hmac=settings))
    assert lacking("hmac", Trust(secrets=(b"s",), hmac=settings)) != ""


async def test_settings_may_stand_beside_the_secret_of_a_captured_request() -> None:
    """`check-request` takes them flat as well."""
    secret = {"secret": "s", "header": "X-Sig", "algorithm": "sha512"}
    digest = mac(b"s", BODY, hashes.SHA512()).hex()
    the_event(await delivered("hmac", {"x-sig": digest}, BODY, secret))
    must_be_refused(await delivered("hmac", {"x-sig": digest[:-1]}, BODY, secret))


async def test_what_was_signed_tells_a_repetition() -> None:
    """The signed id, else the signed time with the body, else a key of the sender; else each is new."""

    async def number(settings: Mapping[str, str], more: Mapping[str, str], at_s: int = AT_S) -> str:
        text = settings.get("template", "{body}").format(
            timestamp=at_s, id=more.get("x-id", ""), body=BODY.decode()
        )
        headers = {"x-sig": mac(b"s", text.encode()).hex(), "x-sent": str(at_s), **more}
        return str(the_event(await tried({"header": "X-Sig", **settings}, headers))["id"])

    named = {**TIMED, "template": "{id}.{timestamp}.{body}", "id_header": "X-Id"}
    assert await number(named, {"x-id": "a"}) == await number(named, {"x-id": "a"}, AT_S + 60)
    assert await number(named, {"x-id": "a"}) != await number(named, {"x-id": "b"})
    # A header that nobody signed changes nothing where something was signed.
    keys = [{"idempotency-key": key} for key in ("k", "l", "k")]
    assert len({await number(TIMED, key) for key in keys}) == 1
    assert await number(TIMED, {}) != await number(TIMED, {}, AT_S + 1)
    assert len({await number({}, key) for key in keys}) == 2
    assert len({await number({}, {}) for _ in range(2)}) == 2


async def test_any_body_is_an_event_as_it_is() -> None:
    """JSON, forms and text; what is no object lies in the member `body`."""
    for kind, body, payload in (
        ("application/json", b'{"a": 1}', {"a": 1}),
        ("application/vnd.x+json", b"[1, 2]", {"body": [1, 2]}),
        ("application/json", b"7", {"body": 7}),
        ("application/x-www-form-urlencoded", b"a=1&b=%C3%A9&a=2&c=", {"a": ["1", "2"], "b": "é", "c": ""}),
        ("text/plain", "é".encode(), {"body": "é"}),
        ("text/plain", b'{"a": 1}', {"a": 1}),
        ("text/plain", b'{"a": 1', {"body": '{"a": 1'}),
        ("", b"", {"body": ""}),
        ("application/xml", b"<a/>", {"body": "<a/>"}),
    ):
        told = await tried({}, {"content-type": kind, "x-signature": mac(b"s", body).hex()}, body)
        assert the_event(told)["payload"] == payload, json.dumps(payload)
