"""Credentials go no further than the door: not into events, dead letters, log lines, answers, figures."""

import base64
import hashlib
import hmac
import json
import logging
from collections.abc import Iterator
from dataclasses import asdict

import pytest

from streams.gateway.hooks import PostHook
from streams.sources.kinds import KINDS
from tests.gateway_case import GatewayCase
from tests.hostile_case import BODIES, SECRET, TRUST, doors
from tests.wire import Got, pairs, send

pytestmark = pytest.mark.unit
CANARY = "c4n4ry"
# Wherever a sender may show what it knows; each with a word of its own.
CANARIES = {
    name: f"{CANARY}{number:02d}x{name.replace('-', '')}"
    for number, name in enumerate(
        (
            "authorization",
            "proxy-authorization",
            "cookie",
            "x-api-key",
            "api-key",
            "x-auth-token",
            "x-signature",
            "x-hub-signature",
            "x-hub-signature-256",
            "webhook-signature",
            "svix-signature",
            "stripe-signature",
            "x-slack-signature",
            "x-shopify-hmac-sha256",
            "x-goog-channel-token",
            "aeg-sas-key",
            "x-amz-security-token",
            "x-access-token",
            "x-gitlab-token",
        )
    )
}
QUERY = f"token={CANARY}90query&access_token={CANARY}91query&sig={CANARY}92query&code={CANARY}93query"
FORMS = {**BODIES, "no JSON": b"{", "nothing": b"", "form": b"a=b"}


def signed(body: bytes) -> dict[str, str]:
    """Headers that a source with our secret believes, for the schemes that need no other's key."""
    key = SECRET.encode()
    decoded = base64.b64decode(SECRET.removeprefix("whsec_"))
    at = "1800000000"
    hexed = hmac.new(key, body, hashlib.sha256).hexdigest()
    packed = base64.b64encode(hmac.new(key, body, hashlib.sha256).digest()).decode()
    standard = hmac.new(decoded, b".".join([b"msg_1", at.encode(), body]), hashlib.sha256).digest()
    return {
        "authorization": f"Bearer {SECRET}",
        "x-hub-signature-256": f"sha256={hexed}",
        "x-github-event": "push",
        "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "x-signature": hexed,
        "x-shopify-hmac-sha256": packed,
        "x-shopify-topic": "orders/create",
        "webhook-id": "msg_1",
        "webhook-timestamp": at,
        "webhook-signature": "v1," + base64.b64encode(standard).decode(),
        "x-slack-request-timestamp": at,
        "x-slack-signature": "v0="
        + hmac.new(key, b":".join([b"v0", at.encode(), body]), hashlib.sha256).hexdigest(),
        "stripe-signature": f"t={at},v1="
        + hmac.new(key, b".".join([at.encode(), body]), hashlib.sha256).hexdigest(),
    }


def secrets_of(headers: dict[str, str]) -> Iterator[str]:
    """What of these headers proves something and must not be seen again."""
    for name, value in headers.items():
        if "signature" in name or name in {"authorization", "x-shopify-hmac-sha256"}:
            yield value.rpartition("=")[2] if "signature" in name and len(value) > 70 else value[-20:]


def written(case: GatewayCase) -> str:
    """Every record as text: events and dead letters, their bytes included."""
    found = [str(asdict(record)) for record in (*case.log.events(), *case.log.dead_letters())]
    return "\n".join([*found, *(repr(row) for row in case.log.rows)])


def shown(got: Got) -> str:
    """An answer as text."""
    return f"{got.headers} {got.body.decode('utf-8', 'replace')}"


@pytest.mark.parametrize("kind", KINDS)
async def test_what_proves_a_sender_is_seen_nowhere(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """Canaries in every header and in the query, for every form of body: none is found anywhere."""
    caplog.set_level(logging.DEBUG)
    hooks = doors(kind)
    case = GatewayCase(hooks=hooks)
    answers = []
    for door in hooks:
        for content_type, methods in (
            ("application/json", ("POST", "OPTIONS", "GET")),
            ("text/plain", ("POST",)),
        ):
            headers = pairs({**CANARIES, "content-type": content_type})
            for body in FORMS.values():
                for method in methods:
                    path, query = f"/hooks/{door}", QUERY.encode()
                    answers.append(await send(case.served.app, method, path, headers, body, query=query))
    metrics = await send(case.served.app, "GET", "/metrics")
    assert {got.status // 100 for got in answers} <= {2, 4}
    for place in (written(case), caplog.text, shown(metrics), *map(shown, answers)):
        assert CANARY not in place
        assert base64.b64encode(CANARY.encode())[:7].decode() not in place
    assert case.log.rows or kind == "cloudevents"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_right_secret_is_seen_nowhere_either(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """Signatures and secrets that are believed leave no trace either: not what is stored, said or logged."""
    caplog.set_level(logging.DEBUG)
    hooks = doors(kind)
    case = GatewayCase(hooks=hooks)
    for door in hooks:
        for body in FORMS.values():
            headers = signed(body)
            got = await send(
                case.served.app,
                "POST",
                f"/hooks/{door}",
                pairs({**headers, "content-type": "application/json"}),
                body,
                query=f"token={TRUST.query_token}".encode(),
            )
            places = (written(case), caplog.text, shown(got))
            for secret in (*secrets_of(headers), SECRET, str(TRUST.query_token)):
                assert not any(secret in place for place in places), secret


async def test_the_api_repeats_no_credential(caplog: pytest.LogCaptureFixture) -> None:
    """POST /events, /api/events, /metrics and paths that are not there: no canary in row, log or answer."""
    caplog.set_level(logging.DEBUG)
    case = GatewayCase()
    good = b'{"event":"e","resource":{"resource.id":"r"}}'
    headers = pairs({**CANARIES, "content-type": "application/json"})
    answers = [
        await send(case.served.app, method, path, headers, body, query=QUERY.encode())
        for method in ("POST", "GET", "OPTIONS", "PUT")
        for path in ("/events", "/api/events", "/metrics", "/nothing", "/health/ready", "/hooks/nobody")
        for body in (good, b"{", b"")
    ]
    for place in (written(case), caplog.text, *map(shown, answers)):
        assert CANARY not in place
    assert len(case.log.events()) == 1


async def test_a_fault_of_ours_repeats_no_credential(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault while the headers are at hand is answered and logged without them, and without its name."""
    caplog.set_level(logging.DEBUG)

    async def failing(self: PostHook, *_: object) -> None:
        raise RuntimeError("the door is broken")

    monkeypatch.setattr(PostHook, "_take", failing)
    case = GatewayCase(hooks=doors("s3"))
    headers = pairs({**CANARIES, "content-type": "application/json"})
    got = await send(case.served.app, "POST", "/hooks/opened", headers, b"{}", query=QUERY.encode())
    assert got.status == 500
    assert "RuntimeError" not in shown(got)
    assert CANARY not in shown(got) + caplog.text


async def test_the_search_would_find_a_leak(caplog: pytest.LogCaptureFixture) -> None:
    """The same search finds a canary that stands in a body, which is data and is kept."""
    case = GatewayCase(hooks=doors("s3"))
    body = json.dumps({"x": CANARY}).encode()
    await send(case.served.app, "POST", "/hooks/opened", pairs({"content-type": "application/json"}), body)
    assert CANARY in written(case)
