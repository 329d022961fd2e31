"""GitHub: the vector of its documentation, made signatures by OpenSSL, both content types."""

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.webhook_case import (
    BODY,
    SchemeCase,
    delivered,
    doubled,
    mac,
    must_be_refused,
    rotations,
    the_event,
    without,
)

pytestmark = pytest.mark.unit
PUSH = {
    "ref": "refs/heads/main",
    "repository": {"full_name": "octocat/Hello-World", "pushed_at": 1793000000},
    "sender": {"login": "octocat"},
}


def sign(body: bytes, secret: str, _at_s: int) -> dict[str, str]:
    """As GitHub sends a push."""
    return {
        "content-type": "application/json",
        "x-github-event": "push",
        "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "x-hub-signature-256": "sha256=" + mac(secret.encode(), body).hex(),
    }


CASE = SchemeCase(
    kind="github",
    sign=sign,
    secret="It's a Secret to Everybody",
    other="nobody's",
    signature="x-hub-signature-256",
)


@pytest.mark.parametrize("name", CASE.refusals())
async def test_what_is_not_proven_is_refused(name: str) -> None:
    """Every attack on signature, secret and body is 401 in the same words."""
    must_be_refused(await CASE.deliver(CASE.refusals()[name]))


@pytest.mark.parametrize("name", rotations(CASE))
async def test_what_is_proven_is_taken(name: str) -> None:
    """Every active secret counts, header names come in any case, the body may be any bytes."""
    assert (await CASE.deliver(rotations(CASE)[name]))["status"] == 202


async def test_the_published_vector_is_taken() -> None:
    """Secret, body and signature as GitHub's documentation prints them."""
    shown = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    headers = {"X-Hub-Signature-256": shown, "Content-Type": "text/plain"}
    told = await delivered("github", headers, b"Hello, World!", CASE.secret)
    assert the_event(told)["payload"] == {"body": "Hello, World!"}


async def test_the_sha1_header_is_never_enough() -> None:
    """A good X-Hub-Signature proves nothing, alone or beside a bad one of today."""
    old = hmac.new(CASE.secret.encode(), BODY, hashlib.sha1).hexdigest()
    headers = without(CASE.good().headers, CASE.signature)
    for more in ({"x-hub-signature": f"sha1={old}"}, {"x-hub-signature-256": f"sha1={old}"}):
        must_be_refused(await delivered("github", {**headers, **more}, BODY, CASE.secret))


async def test_the_digest_without_its_prefix_is_refused() -> None:
    """`sha256=` belongs to the signature."""
    shown = CASE.good().headers[CASE.signature]
    for text in (
        str(shown).removeprefix("sha256="),
        f"sha1{str(shown)[6:]}",
        f"sha256=sha256{str(shown)[6:]}",
    ):
        headers = {**CASE.good().headers, CASE.signature: text}
        must_be_refused(await delivered("github", headers, BODY, CASE.secret))


async def sent(document: Any, *, form: bool = False, **changed: str) -> dict[str, Any]:
    """The event of a document, as JSON or as GitHub's form; header names with _ for -."""
    text = json.dumps(document)
    body = urlencode({"payload": text}).encode() if form else text.encode()
    headers = sign(body, CASE.secret, 0)
    if form:
        headers["content-type"] = "application/x-www-form-urlencoded"
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    return the_event(await delivered("github", headers, body, CASE.secret))


async def test_a_push_is_an_event_of_its_repository() -> None:
    """Name, labels, time and payload of a push; both content types say the same."""
    event = await sent(PUSH)
    assert event["event"] == "github.push"
    assert event["resource"] == {
        "resource.id": "octocat/Hello-World",
        "provider": "github",
        "repository": "octocat/Hello-World",
        "sender": "octocat",
        "ref": "refs/heads/main",
        "delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
    }
    assert event["occurred"] == "2026-10-26T07:33:20+00:00"
    assert event["payload"] == PUSH
    assert {**await sent(PUSH, form=True), "id": event["id"]} == event


async def test_an_action_is_a_label_and_not_part_of_the_name() -> None:
    """`github.pull_request` with label action, whatever was done to it."""
    body = {"action": "opened", "number": 7, "pull_request": {"updated_at": "2026-11-01T10:00:00Z"}, **PUSH}
    event = await sent(body, x_github_event="pull_request")
    assert event["event"] == "github.pull_request"
    assert (event["resource"]["action"], event["resource"]["number"]) == ("opened", "7")
    assert event["occurred"] == "2026-11-01T10:00:00+00:00"


async def test_what_has_no_repository_is_about_the_organization_or_the_source() -> None:
    """The resource is the narrowest thing that the delivery names."""
    whole = await sent({"organization": {"login": "octo"}}, x_github_event="organization")
    assert whole["resource"]["resource.id"] == "octo"
    assert (await sent({"zen": "x"}, x_github_event="ping"))["resource"]["resource.id"] == "check"


async def test_the_deliverys_id_is_the_identity() -> None:
    """A redelivery is the same event; with the id taken off, the body itself tells a repetition."""
    first = await sent(PUSH)
    assert (await sent(PUSH))["id"] == first["id"]
    assert (await sent(PUSH, x_github_delivery="other"))["id"] != first["id"]
    bare = [await sent(body, x_github_delivery="") for body in (PUSH, PUSH, {**PUSH, "ref": "x"})]
    assert bare[0]["id"] == bare[1]["id"] != bare[2]["id"]


@pytest.mark.parametrize("name", ["x-github-event", "x-github-delivery", "content-type"])
async def test_a_doubled_header_that_counts_is_refused(name: str) -> None:
    """Which of two names or ids was meant is not guessed, though the body is signed."""
    must_be_refused(await delivered("github", doubled(CASE.good().headers, name), BODY, CASE.secret))


@pytest.mark.parametrize("name", ["x\x01y", "a" * 1100])
async def test_a_name_that_no_event_may_have_is_a_dead_letter(name: str) -> None:
    """An authentic delivery with an impossible name is kept with its reason."""
    told = await delivered("github", {**CASE.good().headers, "x-github-event": name}, BODY, CASE.secret)
    assert (told["status"], told["problem"]["reason"]) == (202, "unusable_record")


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        ("application/json", b"{", "malformed_json"),
        ("application/json", b"", "malformed_json"),
        ("application/json", b'{"a":1,"a":2}', "malformed_json"),
        ("application/x-www-form-urlencoded", b"payload={", "malformed_json"),
        ("application/x-www-form-urlencoded", b"payload=%FF", "undecodable"),
        ("application/x-www-form-urlencoded", b"&".join([b"a=1"] * 1001), "undecodable"),
        ("text/plain", b"\xff", "undecodable"),
    ],
)
async def test_an_authentic_body_that_cannot_be_read_is_a_dead_letter(
    kind: str, body: bytes, reason: str
) -> None:
    """Signed rubbish is answered 202 and kept with its reason."""
    told = await delivered("github", {**sign(body, CASE.secret, 0), "content-type": kind}, body, CASE.secret)
    assert (told["status"], told["problem"]["reason"], told["events"]) == (202, reason, [])
