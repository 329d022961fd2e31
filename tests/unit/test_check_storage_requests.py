"""Captured requests of clouds through `ensue check-request`, with trust settings from the file."""

import json
from typing import Any

import pytest

from streams.wiring.check_request import captured, check
from tests.token_case import NOW_S, jwks, token
from tests.unit.test_azure_source import ORIGIN, grid
from tests.unit.test_google_source import OBJECT, push
from tests.unit.test_id_token import AUDIENCE, CLAIMS, EMAIL
from tests.unit.test_s3_records import record
from tests.unit.test_sns_source import CERT, TEXT, TOPIC, certificate, handshake, notification, signed

pytestmark = pytest.mark.unit
RECORDS = {"Records": [record()]}


async def told(kind: str, now_s: float = NOW_S, **request: Any) -> dict[str, Any]:
    """What the gateway makes of a request."""
    (one,) = captured(json.dumps([{"headers": {"content-type": "application/json"}, **request}]))
    return await check(one, kind, now_s=now_s)


async def test_sns_with_its_certificate_by_address() -> None:
    """The certificate of the file counts; without it, or for another topic, 401; a handshake is 200."""
    from time import time

    body = signed(notification(json.dumps(RECORDS)))
    trust = {"topic_arns": [TOPIC], "certs": {CERT: certificate().decode()}}
    asked: dict[str, Any] = {"headers": TEXT, "now_s": time()}
    good = await told("sns", body=body, secret=trust, **asked)
    assert (good["status"], [event["event"] for event in good["events"]]) == (202, ["storage.object.created"])
    for secret in ({**trust, "certs": {}}, {**trust, "topic_arns": []}, None, "x"):
        assert (await told("sns", body=body, secret=secret, **asked))["status"] == 401
    hand = await told("sns", body=signed(handshake()), secret=trust, **asked)
    assert (hand["status"], hand["events"], hand["problem"]) == (200, [], None)
    later = {**asked, "now_s": time() + 400 * 86_400}
    assert (await told("sns", body=body, secret=trust, **later))["status"] == 401


async def test_pubsub_with_a_key_set() -> None:
    """The receiver's clock is the file's: the same token is good then and expired later."""
    trust = {"jwks": jwks(), "audience": AUDIENCE, "email": EMAIL}
    headers = {"authorization": f"Bearer {token(CLAIMS)}", "content-type": "application/json"}
    request = {"body": push(item=OBJECT), "secret": trust, "headers": headers}
    for kind in ("pubsub", "gcs"):
        good = await told(kind, **request)
        assert [event["resource"]["provider"] for event in good["events"]] == ["gcs"]
        assert (await told(kind, timestamp=NOW_S + 7200, **request))["status"] == 401


async def test_azures_handshakes() -> None:
    """OPTIONS names the origin; the validation code is the whole answer."""
    options = await told(
        "azure", method="OPTIONS", headers=ORIGIN, secret={"allowed_origins": ["eventgrid.azure.net"]}
    )
    assert (options["status"], options["headers"]["webhook-allowed-origin"]) == (200, "eventgrid.azure.net")
    event = grid() | {
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "data": {"validationCode": "512d"},
    }
    answer = await told("eventgrid", body=[event], query="token=t", secret={"query_token": "t"})
    assert (answer["status"], json.loads(answer["body"])) == (200, {"validationResponse": "512d"})


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("s3", RECORDS),
        ("minio", RECORDS),
        ("sqs", RECORDS),
        ("gcs", push(item=OBJECT)),
        ("pubsub", push(item=OBJECT)),
        ("azure", [grid()]),
        ("eventgrid", [grid()]),
    ],
)
async def test_without_a_secret_a_body_shows_its_events(kind: str, body: Any) -> None:
    """A source without anything to compare with is open, so a form can be tried alone."""
    assert [event["event"] for event in (await told(kind, body=body))["events"]] == ["storage.object.created"]
