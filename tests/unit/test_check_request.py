"""`ensue check-request`: captured requests through the gateway's own code."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli.app import app
from streams.errors import BadInput
from streams.wiring.check_request import captured, check, trust_of

pytestmark = pytest.mark.unit
RECORD = {
    "eventVersion": "2.1",
    "eventSource": "aws:s3",
    "eventTime": "2026-11-22T14:16:32.270Z",
    "eventName": "ObjectCreated:Put",
    "s3": {"bucket": {"name": "inbox"}, "object": {"key": "a+b.csv", "sequencer": "18EA"}},
}


def request(**fields: object) -> dict[str, object]:
    """A captured request of a bucket."""
    return {
        "name": "one",
        "headers": {"Content-Type": "application/json"},
        "body": {"Records": [RECORD]},
        **fields,
    }


async def answered(kind: str = "s3", **fields: object) -> dict[str, object]:
    """What the gateway makes of it."""
    return await check(captured(json.dumps([request(**fields)]))[0], kind, now_s=1_800_000_000)


async def test_a_good_request_shows_its_events_as_posted() -> None:
    """The events stand in the form that POST /events takes, and taking them gives the same ids."""
    told = await answered()
    assert (told["status"], told["problem"]) == (202, None)
    (event,) = told["events"]  # type: ignore[misc]
    assert event["event"] == "storage.object.created"
    assert event["resource"]["key"] == "a b.csv"
    again = await answered("none", body=told["events"])
    assert [item["id"] for item in again["events"]] == [event["id"]]  # type: ignore[union-attr, index]


async def test_a_wrong_secret_is_refused_and_each_of_several_is_good() -> None:
    """401 without events for a wrong one; a list holds all that are active."""
    wrong = await answered(
        secret="x", headers={"Content-Type": "application/json", "Authorization": "Bearer y"}
    )
    assert (wrong["status"], wrong["events"]) == (401, [])
    for secret in ("y", ["x", "y"], {"secrets": ["x", "y"]}):
        headers = {"Content-Type": "application/json", "Authorization": "Bearer y"}
        assert (await answered(secret=secret, headers=headers))["status"] == 202


async def test_an_unusable_delivery_names_its_reason() -> None:
    """What would become a dead letter is told as the problem."""
    told = await answered(body="{")
    assert told["status"] == 202
    assert told["problem"]["reason"] == "malformed_json"  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("{}", "list"),
        ('[{"nonsense": 1}]', "request 0: nonsense"),
        ('[{"body_b64": "%"}]', "request 0: body_b64"),
    ],
)
def test_a_bad_file_is_a_sentence(text: str, said: str) -> None:
    """What a person wrote wrongly is named by place."""
    with pytest.raises(BadInput, match=said):
        captured(text)
    with pytest.raises(BadInput, match="no kind knows"):
        trust_of({"pasword": "x"})
    with pytest.raises(BadInput, match="tolerance_s"):
        trust_of({"tolerance_s": "soon"})


def test_the_command_prints_json_and_knows_its_kinds(tmp_path: Path) -> None:
    """One JSON list on standard output; an unknown kind is the person's mistake."""
    file = tmp_path / "requests.json"
    file.write_text(json.dumps([request()]))
    done = CliRunner().invoke(
        app, ["check-request", str(file), "--source", "s3", "--now", "1800000000", "--json"]
    )
    assert done.exit_code == 0
    assert json.loads(done.stdout)[0]["status"] == 202
    refused = CliRunner().invoke(app, ["check-request", str(file), "--source", "teapot"])
    assert isinstance(refused.exception, BadInput)
