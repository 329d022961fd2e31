"""Slack: its documentation's vector, its own library as the sender, its challenge."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from slack_sdk.signature import SignatureVerifier

from tests.webhook_case import AT_S, BODY, SchemeCase, delivered, mac, must_be_refused, rotations, the_event

pytestmark = pytest.mark.unit
MESSAGE = {
    "token": "verification-token-of-old",
    "team_id": "T1",
    "api_app_id": "A1",
    "type": "event_callback",
    "event_id": "Ev1",
    "event_time": 1793000000,
    "event": {"type": "message", "channel": "C1", "user": "U1", "text": "hello"},
}
FORM = "application/x-www-form-urlencoded"


def sign(body: bytes, secret: str, at_s: int) -> dict[str, str]:
    """Slack's library signs texts under a secret only; everything else is signed by its MAC."""
    try:
        shown = SignatureVerifier(secret).generate_signature(timestamp=str(at_s), body=body)
    except ValueError:
        shown = "v0=" + mac(secret.encode(), b"v0:%d:%b" % (at_s, body)).hex()
    return {
        "content-type": "application/json",
        "x-slack-request-timestamp": str(at_s),
        "x-slack-signature": str(shown),
    }


CASE = SchemeCase(
    kind="slack",
    sign=sign,
    secret="8f742231b10e8888abcd99yyyzzz85a5",
    other="another",
    signature="x-slack-signature",
    time="x-slack-request-timestamp",
    timed=True,
)


@pytest.mark.parametrize("name", CASE.refusals())
async def test_what_is_not_proven_is_refused(name: str) -> None:
    """Every attack on time, signature, secret and body is 401 in the same words."""
    must_be_refused(await CASE.deliver(CASE.refusals()[name]))


@pytest.mark.parametrize("name", rotations(CASE))
async def test_what_is_proven_is_taken(name: str) -> None:
    """Every active secret counts, header names come in any case, the body may be any bytes."""
    assert (await CASE.deliver(rotations(CASE)[name]))["status"] in {200, 202}


@pytest.mark.parametrize("name", CASE.signed_times())
async def test_the_window_is_closed_on_both_sides(name: str) -> None:
    """A signed time may lie 300 s from our clock and no further, before or after it."""
    at_s, taken = CASE.signed_times()[name]
    told = await CASE.deliver(CASE.good(at_s=at_s))
    assert (told["status"] == 200) is taken


async def test_the_published_vector_is_taken() -> None:
    """The slash command of Slack's documentation, with its secret, time and signature."""
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F"
        b"96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = {
        "X-Slack-Request-Timestamp": "1531420618",
        "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        "Content-Type": FORM,
    }
    event = the_event(await delivered("slack", headers, body, CASE.secret, at_s=1531420618))
    assert event["event"] == "slack.slash_command"
    assert event["resource"] == {
        "resource.id": "T1DC2JH3J/G8PSS9T3V",
        "provider": "slack",
        "team": "T1DC2JH3J",
        "channel": "G8PSS9T3V",
        "user": "U2CERLKJA",
        "command": "/webhook-collect",
    }
    assert "token" not in event["payload"]


async def test_the_digest_without_its_version_is_refused() -> None:
    """`v0=` belongs to the signature, and v1 is another one."""
    good = CASE.good().headers
    for text in (str(good[CASE.signature])[3:], "v1=" + str(good[CASE.signature])[3:]):
        must_be_refused(await delivered("slack", {**good, CASE.signature: text}, BODY, CASE.secret))


async def sent(body: bytes, kind: str = "application/json", *, at_s: int = AT_S) -> dict[str, Any]:
    """What is told of a body."""
    headers = {**sign(body, CASE.secret, at_s), "content-type": kind}
    return await delivered("slack", headers, body, CASE.secret)


async def test_the_challenge_of_a_known_sender_is_answered() -> None:
    """Slack tries a new address: the answer is the challenge, and no event comes of it."""
    body = json.dumps({"type": "url_verification", "token": "x", "challenge": "3eZbrw1a<b>"}).encode()
    told = await sent(body)
    assert (told["status"], told["body"], told["events"]) == (200, "3eZbrw1a<b>", [])
    assert told["headers"]["content-type"].startswith("text/plain")
    assert told["headers"]["x-content-type-options"] == "nosniff"
    must_be_refused(await delivered("slack", {"content-type": "application/json"}, body, CASE.secret))
    for challenge in (None, "", "x" * 1025, {"a": 1}):
        odd = await sent(json.dumps({"type": "url_verification", "challenge": challenge}).encode())
        assert odd["problem"]["reason"] == "unusable_record"


async def test_a_message_is_an_event_of_its_channel() -> None:
    """`slack.TYPE` on TEAM/CHANNEL with the time that Slack tells; its old verification token stays out."""
    event = the_event(await sent(json.dumps(MESSAGE).encode()))
    assert event["event"] == "slack.message"
    assert event["resource"] == {
        "resource.id": "T1/C1",
        "provider": "slack",
        "team": "T1",
        "channel": "C1",
        "user": "U1",
        "app": "A1",
        "delivery": "Ev1",
    }
    assert event["occurred"] == "2026-10-26T07:33:20+00:00"
    assert event["payload"] == {name: value for name, value in MESSAGE.items() if name != "token"}


@pytest.mark.parametrize(
    ("document", "name", "place"),
    [
        (
            {"type": "block_actions", "team": {"id": "T1"}, "channel": {"id": "C1"}, "user": {"id": "U1"}},
            "slack.block_actions",
            "T1/C1",
        ),
        ({"type": "view_submission", "team": {"id": "T1"}}, "slack.view_submission", "T1"),
    ],
)
async def test_an_interaction_lies_in_a_form(document: dict[str, Any], name: str, place: str) -> None:
    """What a person clicks comes as JSON in the field payload."""
    body = urlencode({"payload": json.dumps({**document, "token": "x"})}).encode()
    event = the_event(await sent(body, FORM))
    assert (event["event"], event["resource"]["resource.id"]) == (name, place)
    assert event["payload"] == document


async def test_other_shapes_name_their_channel_and_type() -> None:
    """A reaction's channel stands in its item, a new channel is an object, a limit has no event."""
    for document, name, place in (
        (
            {**MESSAGE, "event": {"type": "reaction_added", "item": {"channel": "C2"}}},
            "slack.reaction_added",
            "T1/C2",
        ),
        (
            {**MESSAGE, "event": {"type": "channel_created", "channel": {"id": "C3"}}},
            "slack.channel_created",
            "T1/C3",
        ),
        ({"type": "app_rate_limited", "team_id": "T1"}, "slack.app_rate_limited", "T1"),
        ([1], "slack.received", "check"),
    ):
        event = the_event(await sent(json.dumps(document).encode()))
        assert (event["event"], event["resource"]["resource.id"]) == (name, place)


async def test_the_events_id_is_the_identity() -> None:
    """A retry is signed anew and is the same event; what has no id is told by its time and body."""
    body = json.dumps(MESSAGE).encode()
    ids = [the_event(await sent(body, at_s=at_s))["id"] for at_s in (AT_S, AT_S + 60)]
    assert ids[0] == ids[1]
    command = b"command=%2Fgo&team_id=T1"
    told = [the_event(await sent(command, FORM, at_s=at_s))["id"] for at_s in (AT_S, AT_S, AT_S + 1)]
    assert told[0] == told[1] != told[2]
    assert (await sent(b"ssl_check=1", FORM))["events"] == []
