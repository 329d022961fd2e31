"""`ensue check-request --source cloudevents`: the door of CloudEvents, with the file's trust settings."""

import json
from typing import Any

import pytest

from streams.wiring.check_request import captured, check

pytestmark = pytest.mark.unit
EVENT = {"specversion": "1.0", "id": "1", "source": "/s", "type": "a.b", "data": {"a": 1}}
STRUCTURED = {"Content-Type": "application/cloudevents+json"}


async def told(**fields: Any) -> dict[str, Any]:
    """What comes of a request."""
    request = {"name": "one", "headers": STRUCTURED, "body": EVENT, **fields}
    return await check(captured(json.dumps([request]))[0], "cloudevents", now_s=1_800_000_000)


async def test_events_come_out_as_they_are_posted() -> None:
    """Structured, batched and binary, whatever the path; without `time` the receiver's clock counts."""
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "a.b"}
    for answer in (
        await told(),
        await told(path="/someresource"),
        await told(headers={"Content-Type": "application/cloudevents-batch+json"}, body=[EVENT]),
        await told(headers={**headers, "Content-Type": "application/json"}, body={"a": 1}),
    ):
        assert (answer["status"], answer["problem"]) == (202, None)
        (event,) = answer["events"]
        assert (event["event"], event["payload"]["data"]) == ("a.b", {"a": 1})
        assert event["occurred"] == "2027-01-15T08:00:00+00:00"
        again = await check(
            captured(json.dumps([{"headers": {"Content-Type": "application/json"}, "body": event}]))[0],
            "none",
            now_s=1,
        )
        assert [item["id"] for item in again["events"]] == [event["id"]]


async def test_what_is_invalid_is_a_problem_with_index_and_field() -> None:
    """422 and the errors, no event."""
    answer = await told(body={**EVENT, "id": None})
    assert (answer["status"], answer["events"]) == (422, [])
    assert [(error["index"], error["field"]) for error in answer["problem"]["errors"]] == [(0, "id")]


async def test_allowed_origins_answer_the_handshake() -> None:
    """`secret` {"allowed_origins": [...]} says who may register; without it nobody may."""
    ask = {"method": "OPTIONS", "body": None, "headers": {"WebHook-Request-Origin": "a.example"}}
    answer = await told(**ask, secret={"allowed_origins": ["a.example"]})
    assert (answer["status"], answer["headers"]["WebHook-Allowed-Origin"]) == (200, "a.example")
    assert (await told(**ask, secret={"allowed_origins": ["b.example"]}))["status"] == 403
    assert (await told(**ask))["status"] == 405
    broken = {"WebHook-Request-Origin": "a.example\r\nx: y"}
    assert (await told(**{**ask, "headers": broken}, secret={"allowed_origins": ["*"]}))["status"] == 400


async def test_a_secret_makes_it_a_source_of_its_own() -> None:
    """With a secret the request goes to the hook, which wants it."""
    headers = {**STRUCTURED, "Authorization": "Bearer tok"}
    assert (await told(secret="tok"))["status"] == 401
    assert (await told(secret="tok", headers=headers))["status"] == 202
    assert (await told(secret=["new", "tok"], query={"access_token": "tok"}))["status"] == 202
