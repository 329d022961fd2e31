"""Standard Webhooks: v1 against the vendor's library and the published vector, v1a with ed25519."""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from streams.sources.kinds import lacking
from streams.sources.trust import Trust
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
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = "whpk_" + base64.b64encode(PRIVATE.public_key().public_bytes_raw()).decode()


def sign(body: bytes, secret: str, at_s: int) -> dict[str, str]:
    """The vendor's library as the sender; what it does not sign (no text, no secret) is signed by its MAC."""
    at = datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None)
    try:
        shown = Webhook(secret).sign("msg_1", at, body.decode())
    except (UnicodeDecodeError, EmptyWebhookSecretError):
        key = base64.b64decode(secret.removeprefix("whsec_") + "==")
        shown = "v1," + base64.b64encode(mac(key, b"msg_1.%d.%b" % (at_s, body))).decode()
    return {
        "content-type": "application/json",
        "webhook-id": "msg_1",
        "webhook-timestamp": str(at_s),
        "webhook-signature": shown,
    }


CASE = SchemeCase(
    kind="standard-webhooks",
    sign=sign,
    secret=SECRET,
    other=OTHER,
    signature="webhook-signature",
    time="webhook-timestamp",
    timed=True,
)


def asymmetric(body: bytes = BODY, number: str = "msg_1", at_s: int = AT_S) -> dict[str, str]:
    """Headers signed with the private key."""
    shown = base64.b64encode(PRIVATE.sign(b"%b.%d.%b" % (number.encode(), at_s, body))).decode()
    return {
        "content-type": "application/json",
        "webhook-id": number,
        "webhook-timestamp": str(at_s),
        "webhook-signature": f"v1a,{shown}",
    }


# Tokens of one list: joined by a proxy, the list has a good one still.
REFUSALS = {name: attempt for name, attempt in CASE.refusals().items() if "joined" not in name}


@pytest.mark.parametrize("name", REFUSALS)
async def test_what_is_not_proven_is_refused(name: str) -> None:
    """Every attack on id, time, signature, secret and body is 401 in the same words."""
    must_be_refused(await CASE.deliver(REFUSALS[name]))


@pytest.mark.parametrize("name", rotations(CASE))
async def test_what_is_proven_is_taken(name: str) -> None:
    """Every active secret counts, header names come in any case, the body may be any bytes."""
    assert (await CASE.deliver(rotations(CASE)[name]))["status"] == 202


@pytest.mark.parametrize("name", CASE.signed_times())
async def test_the_window_is_closed_on_both_sides(name: str) -> None:
    """A signed time may lie 300 s from our clock and no further, before or after it."""
    at_s, taken = CASE.signed_times()[name]
    told = await CASE.deliver(CASE.good(at_s=at_s))
    assert (told["status"] == 202) is taken
    if not taken:
        must_be_refused(told)


async def test_the_published_vector_is_taken() -> None:
    """The vectors of the specification's libraries (v1) and of Svix's server (v1a), as they stand there."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    body = b'{"test": 2432232314}'
    event = the_event(await delivered("standard-webhooks", headers, body, SECRET, at_s=1614265330))
    assert (event["event"], event["payload"]) == ("webhook.received", {"test": 2432232314})
    public = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
    asymmetric_text = (
        "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
    )
    both = {**headers, "webhook-signature": asymmetric_text}
    the_event(await delivered("standard-webhooks", both, body, public, at_s=1614265330))
    svix = {name.replace("webhook", "svix"): value for name, value in headers.items()}
    again = the_event(await delivered("standard-webhooks", svix, body, SECRET, at_s=1614265330))
    assert again["id"] == event["id"]


async def test_two_signatures_are_taken_when_one_is_good() -> None:
    """During a rotation the sender shows two; tokens of other versions or none are passed over."""
    good = sign(BODY, SECRET, AT_S)
    wrong = sign(BODY, OTHER, AT_S)["webhook-signature"]
    for shown in (
        f"{wrong} {good['webhook-signature']}",
        f"{good['webhook-signature']} {wrong}",
        f"v2,abc v1a,!! v1 nonsense, {good['webhook-signature']}",
    ):
        the_event(await delivered("standard-webhooks", {**good, "webhook-signature": shown}, BODY, SECRET))


async def test_only_so_many_signatures_are_looked_at() -> None:
    """The good one behind ten thousand others is not found: nobody makes us compare without end."""
    good = sign(BODY, SECRET, AT_S)
    shown = "v1,AAAA " * 10_000 + good["webhook-signature"]
    must_be_refused(await delivered("standard-webhooks", {**good, "webhook-signature": shown}, BODY, SECRET))


async def test_ed25519_signatures_are_taken_from_their_key_only() -> None:
    """v1a with the public key is taken; another body, key or time is not."""
    the_event(await delivered("standard-webhooks", asymmetric(), BODY, PUBLIC))
    the_event(await delivered("standard-webhooks", asymmetric(), BODY, [SECRET, PUBLIC]))
    other = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
    for headers, body, secret in (
        (asymmetric(), b"{}", PUBLIC),
        (asymmetric(), BODY, "whpk_" + base64.b64encode(other).decode()),
        (asymmetric(), BODY, SECRET),
        (asymmetric(at_s=AT_S - 301), BODY, PUBLIC),
        ({**asymmetric(), "webhook-id": "msg_2"}, BODY, PUBLIC),
        ({**asymmetric(), "webhook-signature": "v1a,AAAA"}, BODY, PUBLIC),
    ):
        must_be_refused(await delivered("standard-webhooks", headers, body, secret))


@pytest.mark.parametrize("secret", [PUBLIC, PUBLIC.removeprefix("whpk_"), "whpk_AAAA", "whsk_AAAA", "whsec_"])
async def test_a_public_key_never_signs_as_a_secret(secret: str) -> None:
    """Who knows the public key and uses it as an HMAC's secret is refused."""
    key = base64.b64decode(PUBLIC.removeprefix("whpk_"))
    forged = sign(BODY, "whsec_" + base64.b64encode(key).decode(), AT_S)
    configured = PUBLIC if secret == PUBLIC.removeprefix("whpk_") else secret
    must_be_refused(await delivered("standard-webhooks", forged, BODY, configured))
    must_be_refused(await delivered("standard-webhooks", sign(BODY, OTHER, AT_S), BODY, configured))


@pytest.mark.parametrize("number", ["a.b", "msg_1.1800000000", ".", "a b", "x" * 257, "\x01"])
async def test_an_id_that_could_be_cut_elsewhere_is_refused(number: str) -> None:
    """Id, time and body are joined by full stops: an id with one has two readings, so it has none."""
    headers = asymmetric(number=number)
    must_be_refused(await delivered("standard-webhooks", headers, BODY, PUBLIC))


async def test_two_sets_of_headers_are_not_mixed() -> None:
    """A half set beside a whole one changes neither who sent it nor the identity."""
    headers = sign(BODY, SECRET, AT_S)
    svix = {name.replace("webhook", "svix"): value for name, value in headers.items()}
    plain = the_event(await delivered("standard-webhooks", svix, BODY, SECRET))
    beside = the_event(await delivered("standard-webhooks", {**svix, "webhook-id": "other"}, BODY, SECRET))
    assert plain["id"] == beside["id"]
    broken = {**svix, **headers, "webhook-signature": "v1,AAAA"}
    must_be_refused(await delivered("standard-webhooks", broken, BODY, SECRET))


async def test_the_event_has_the_messages_type_object_time_and_identity() -> None:
    """`webhook.TYPE` on SOURCE/OBJECT; a retry with another time of sending is the same event."""
    body = b'{"type":"contact.created","timestamp":"2026-11-03T20:26:10.344522Z","data":{"id":"1f81"}}'

    async def sent(at_s: int, **changed: str) -> dict[str, Any]:
        headers = asymmetric(body, at_s=at_s, **changed)
        return the_event(await delivered("standard-webhooks", headers, body, PUBLIC))

    event = await sent(AT_S)
    assert event["event"] == "webhook.contact.created"
    assert event["resource"] == {
        "resource.id": "check/1f81",
        "provider": "webhook",
        "type": "contact.created",
        "delivery": "msg_1",
    }
    assert event["occurred"] == "2026-11-03T20:26:10.344522+00:00"
    assert (await sent(AT_S + 60))["id"] == event["id"]
    assert (await sent(AT_S, number="msg_2"))["id"] != event["id"]


def test_a_source_that_can_let_nobody_in_says_so() -> None:
    """No secret, or one that cannot be read, is a sentence at the start."""
    assert lacking("standard-webhooks", Trust(secrets=(SECRET.encode(), PUBLIC.encode()))) == ""
    assert "no secret" in lacking("standard-webhooks", Trust())
    assert "neither" in lacking("standard-webhooks", Trust(secrets=(b"whpk_AAAA",)))
