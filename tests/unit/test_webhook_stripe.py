"""Stripe: its own library as the sender."""

import json
from typing import Any

import pytest
from stripe import WebhookSignature

from tests.webhook_case import AT_S, BODY, SchemeCase, delivered, mac, must_be_refused, rotations, the_event

pytestmark = pytest.mark.unit
EVENT = {
    "id": "evt_1",
    "object": "event",
    "type": "charge.succeeded",
    "created": 1793000000,
    "livemode": False,
    "api_version": "2026-09-30",
    "data": {"object": {"id": "ch_1", "object": "charge", "amount": 999}},
}


def sign(body: bytes, secret: str, at_s: int) -> dict[str, str]:
    """Stripe's library signs texts only, so other bodies are signed by their MAC."""
    try:
        shown = WebhookSignature.generate_signature_header(body.decode(), secret, timestamp=at_s)
    except UnicodeDecodeError:
        shown = f"t={at_s},v1={mac(secret.encode(), b'%d.%b' % (at_s, body)).hex()}"
    return {"content-type": "application/json", "stripe-signature": shown}


CASE = SchemeCase(
    kind="stripe",
    sign=sign,
    secret="whsec_test",
    other="whsec_other",
    signature="stripe-signature",
    timed=True,
)
GOOD = sign(BODY, CASE.secret, AT_S)["stripe-signature"]
DIGEST = GOOD.partition("v1=")[2]


@pytest.mark.parametrize("name", CASE.refusals())
async def test_what_is_not_proven_is_refused(name: str) -> None:
    """Every attack on time, signature, secret and body is 401 in the same words."""
    must_be_refused(await CASE.deliver(CASE.refusals()[name]))


@pytest.mark.parametrize("name", rotations(CASE))
async def test_what_is_proven_is_taken(name: str) -> None:
    """Every active secret counts, header names come in any case, the body may be any bytes."""
    assert (await CASE.deliver(rotations(CASE)[name]))["status"] == 202


@pytest.mark.parametrize("name", CASE.signed_times())
async def test_the_window_is_closed_on_both_sides(name: str) -> None:
    """A signed time may lie 300 s from our clock and no further; Stripe's library refuses old ones only."""
    at_s, taken = CASE.signed_times()[name]
    told = await CASE.deliver(CASE.good(at_s=at_s))
    assert (told["status"] == 202) is taken


@pytest.mark.parametrize(
    "shown",
    [
        f"t={AT_S},v1={'0' * 64},v1={DIGEST}",
        f"t={AT_S},v1={DIGEST},v1={'0' * 64}",
        f"v1={DIGEST},t={AT_S}",
        f"t={AT_S},v0={'0' * 64},v2=x,odd,v1={DIGEST}",
        f"t={AT_S}, v1={DIGEST}",
    ],
)
async def test_one_good_signature_is_enough(shown: str) -> None:
    """While a secret is rolled Stripe sends one signature for each; other versions are passed over."""
    the_event(await delivered("stripe", {"stripe-signature": shown}, BODY, CASE.secret))


@pytest.mark.parametrize(
    "shown",
    [
        f"t={AT_S}",
        f"v1={DIGEST}",
        f"t={AT_S},t={AT_S},v1={DIGEST}",
        f"t=1,t={AT_S},v1={DIGEST}",
        f"t={AT_S},v0={DIGEST}",
        f"t={AT_S},v1 ={DIGEST[:-1]}",
        f"t=0{AT_S},v1={DIGEST}",
        f"t=+{AT_S},v1={DIGEST}",
        f"t={AT_S}.0,v1={DIGEST}",
        f"t=-{AT_S},v1={DIGEST}",
        f"t=,v1={DIGEST}",
        f"t=nan,v1={DIGEST}",
        f"t={AT_S + 1},v1={DIGEST}",
        f"t={'9' * 5000},v1={DIGEST}",
        "t=" + "," * 10_000,
        f"t={AT_S}," + "v1=aa," * 10_000 + f"v1={DIGEST}",
    ],
)
async def test_a_header_that_is_not_stripes_is_refused(shown: str) -> None:
    """No time, two times, no v1, a time that is no plain number: 401."""
    must_be_refused(await delivered("stripe", {"stripe-signature": shown}, BODY, CASE.secret))


async def sent(document: dict[str, Any], *, at_s: int = AT_S) -> dict[str, Any]:
    """The event of a document."""
    body = json.dumps(document).encode()
    return the_event(await delivered("stripe", sign(body, CASE.secret, at_s), body, CASE.secret))


async def test_an_event_of_stripe_is_about_its_object() -> None:
    """`stripe.TYPE`, the object as resource, the time of its making; the payload is Stripe's event."""
    event = await sent(EVENT)
    assert event["event"] == "stripe.charge.succeeded"
    assert event["resource"] == {
        "resource.id": "ch_1",
        "provider": "stripe",
        "type": "charge.succeeded",
        "object": "charge",
        "livemode": "false",
        "api_version": "2026-09-30",
        "delivery": "evt_1",
    }
    assert event["occurred"] == "2026-10-26T07:33:20+00:00"
    assert event["payload"] == EVENT


async def test_a_thin_notification_is_about_its_related_object() -> None:
    """Version 2 of Stripe's events names the object beside the event and writes times as text."""
    event = await sent(
        {
            "id": "evt_2",
            "object": "v2.core.event",
            "type": "v1.billing.meter.error",
            "created": "2026-10-26T02:13:20.500Z",
            "related_object": {"id": "mtr_1", "type": "billing.meter"},
        }
    )
    assert (event["resource"]["resource.id"], event["resource"]["object"]) == ("mtr_1", "billing.meter")
    assert event["occurred"] == "2026-10-26T02:13:20.500000+00:00"


async def test_the_events_id_is_the_identity() -> None:
    """A retry is signed anew and is the same event; without an id the body tells."""
    first = await sent(EVENT)
    assert (await sent(EVENT, at_s=AT_S + 100))["id"] == first["id"]
    assert (await sent({**EVENT, "id": "evt_2"}))["id"] != first["id"]
    bare = [await sent(body) for body in ({"type": "a"}, {"type": "a"}, {"type": "b"})]
    assert bare[0]["id"] == bare[1]["id"] != bare[2]["id"]


async def test_a_reserved_or_impossible_name_cannot_be_smuggled_in() -> None:
    """The provider stands before whatever the body says."""
    assert (await sent({**EVENT, "type": "ensue.run.failed"}))["event"] == "stripe.ensue.run.failed"
    body = json.dumps({**EVENT, "type": "a\nb"}).encode()
    told = await delivered("stripe", sign(body, CASE.secret, AT_S), body, CASE.secret)
    assert told["problem"]["reason"] == "unusable_record"
