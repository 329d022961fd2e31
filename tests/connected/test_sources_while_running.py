"""The whole system, and its sources changed while it runs: added, rotated, mended, silent, backfilled."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from schemas.dead_letter import Reason
from schemas.new_id import new_id
from tests.connected.system import System

pytestmark = [pytest.mark.connected, pytest.mark.timeout(600)]
FLOWS = """
from flows import flow
from flows.triggers import event_trigger

@flow(
    on=event_trigger(
        "ensue.source.silent",
        match={"source": "quiet"},
        parameters={"source": "{{ event.resource.source }}"},
    )
)
def look_after(source: str):
    return source

@flow(on=event_trigger("ensue.source.resumed", match={"source": "quiet"}))
def calm_down():
    return "fine"
"""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A running system without any source."""
    with System(tmp_path_factory.mktemp("sources"), FLOWS) as running:
        yield running


def ok(system: System, *arguments: str) -> Any:
    """Run a command that must work; return what its --json says."""
    done = system.ensue(*arguments, "--json")
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return json.loads(done.stdout)


def deliver(system: System, secret: str, body: bytes, delivery: str = "") -> httpx.Response:
    """Deliver to the source `shop` as GitHub would."""
    mac = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "content-type": "application/json",
        "x-github-event": "push",
        "x-github-delivery": delivery or new_id(),
        "x-hub-signature-256": f"sha256={mac}",
    }
    return httpx.post(f"{system.instance.api_url}/hooks/shop", content=body, headers=headers, timeout=30)


def actions(action: str, letter: str) -> str:
    """The query that counts what was done with a letter."""
    return (
        f"SELECT count() FROM events WHERE event = 'ensue.audit.dead_letter.{action}' "
        f"AND resource_id = 'ensue://dead-letter/{letter}'"
    )


def body(text: str) -> bytes:
    """A push."""
    return json.dumps({"repository": {"full_name": "us/shop"}, "ref": text}).encode()


@pytest.fixture(scope="module")
def shop(system: System) -> dict[str, Any]:
    """The source `shop`, added while the system runs; `secret` is the one that is valid."""
    told: dict[str, Any] = ok(system, "sources", "add", "shop", "--kind", "github")
    return told


def test_a_source_that_is_added_takes_deliveries_at_once(system: System, shop: dict[str, Any]) -> None:
    """Signed is 202 and a row, forged is 401 and counted; the sample of `ensue sources test` arrives, too."""
    good = deliver(system, shop["secret"], body("first"))
    assert good.status_code == 202, good.text
    (event_id,) = good.json()["ids"]
    assert system.wait_count(f"SELECT count() FROM events WHERE id = '{event_id}'", 1) == 1
    assert deliver(system, "forged", body("first")).status_code == 401
    told = ok(system, "sources", "test", "shop")
    assert (told["ok"], told["event"]) == (True, "github.ping")
    (row,) = ok(system, "sources", "list")
    assert (row["name"], row["kind"], row["unauthenticated"]) == ("shop", "github", 1)
    assert row["events_24h"] == 2
    assert 0 <= row["last_event_age_s"] < 60


def test_a_rotation_under_load_refuses_nobody(system: System, shop: dict[str, Any]) -> None:
    """Senders with the old and with the new secret are let in while both are valid; then only the new."""
    old = shop["secret"]
    secrets, answers, done = [old], [], threading.Event()

    def send() -> None:
        while not done.is_set():
            answers.extend(deliver(system, secret, body("load")).status_code for secret in tuple(secrets))

    senders = [threading.Thread(target=send) for _ in range(3)]
    for sender in senders:
        sender.start()
    shop["secret"] = ok(system, "sources", "rotate", "shop", "--keep", "1h")["secret"]
    secrets.append(shop["secret"])
    time.sleep(2)
    done.set()
    for sender in senders:
        sender.join()
    assert set(answers) == {202}
    assert len(answers) > 10
    ok(system, "sources", "rotate", "shop", "--finish")
    assert deliver(system, old, body("late")).status_code == 401
    assert deliver(system, shop["secret"], body("late")).status_code == 202


def test_a_dead_letter_is_mended_and_read_once(system: System, shop: dict[str, Any], tmp_path: Path) -> None:
    """Kept raw with its reason, edited, retried: one row however often, and every action stands in SQL."""
    raw = b'{"repository": {"full_name": "us/shop"}, "ref": "broken"'
    answer = deliver(system, shop["secret"], raw, delivery="d-1")
    assert answer.status_code == 202
    letter = answer.json()["dead_letter"]
    assert system.wait_count(f"SELECT count() FROM dead_letters WHERE id = '{letter}'", 1) == 1
    assert [
        row["id"] for row in ok(system, "dead-letters", "list", "--source", "shop", "--state", "open")
    ] == [letter]
    shown = ok(system, "dead-letters", "show", letter)
    assert base64.b64decode(shown["raw_b64"]) == raw
    assert shown["headers"]["x-github-delivery"] == "d-1"
    assert "signature" not in json.dumps(shown["headers"])
    assert system.ensue("dead-letters", "retry", letter).returncode == 1
    mended = tmp_path / "mended.json"
    mended.write_bytes(raw + b"}")
    ok(system, "dead-letters", "edit", letter, "--body", f"@{mended}")
    assert system.wait_count(actions("edited", letter), 1) == 1
    told = ok(system, "dead-letters", "retry", letter)
    assert told["outcome"] == "taken"
    (event_id,) = told["events"]
    assert ok(system, "dead-letters", "retry", letter)["events"] == [event_id]
    assert system.wait_count(actions("retried", letter), 3) == 3
    assert system.count(f"SELECT count() FROM events WHERE id = '{event_id}'") == 1
    (row,) = system.sql(f"SELECT event, resource['ref'] AS ref FROM events WHERE id = '{event_id}'")
    assert row == {"event": "github.push", "ref": "broken"}
    assert ok(system, "dead-letters", "list", "--state", "retried")[0]["id"] == letter
    shown = ok(system, "dead-letters", "show", letter)
    assert base64.b64decode(shown["raw_b64"]) == raw
    assert [one["action"] for one in shown["history"]] == ["retried", "edited", "retried", "retried"]
    assert all("@" in one["by"] for one in shown["history"])
    reasons = {row["reason"] for row in system.sql("SELECT DISTINCT reason FROM dead_letters")}
    assert reasons <= set(Reason)


def test_a_silent_source_starts_a_flow_and_its_voice_another(system: System) -> None:
    """The alarm is an event like any other; it is raised once, and ends with the next delivery."""
    told = ok(system, "sources", "add", "quiet", "--kind", "s3", "--silence-after", "3s")
    runs = "SELECT count() FROM runs WHERE flow = 'look_after' AND state = 'succeeded'"
    assert system.wait_count(runs, 1, timeout_s=90) == 1
    (row,) = system.sql("SELECT parameters, result FROM runs WHERE flow = 'look_after'")
    assert "quiet" in row["result"]
    assert {row["name"]: row["state"] for row in ok(system, "sources", "list")}["quiet"] == "silent"
    time.sleep(6)
    alarms = "SELECT count() FROM events WHERE event = 'ensue.source.silent'"
    assert system.count(alarms) == 1
    headers = {"authorization": f"Bearer {told['secret']}"}
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": "2026-11-22T14:16:32.270Z",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "b"}, "object": {"key": "k", "sequencer": "1"}},
    }
    url = f"{system.instance.api_url}/hooks/quiet"
    assert httpx.post(url, json={"Records": [record]}, headers=headers).status_code == 202
    done = "SELECT count() FROM runs WHERE flow = 'calm_down' AND state = 'succeeded'"
    assert system.wait_count(done, 1, timeout_s=60) == 1
    assert system.ensue("sources", "remove", "quiet").returncode == 0
    assert httpx.post(url, json={"Records": [record]}, headers=headers).status_code == 404


@pytest.fixture(scope="module")
def bucket() -> Iterator[tuple[Any, str]]:
    """A bucket of moto's S3 server, with its address."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=address, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    client.create_bucket(Bucket="landing")
    yield client, address
    client.close()
    server.stop()


def test_a_backfill_emits_what_nobody_reported(
    system: System, bucket: tuple[Any, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reported objects are left alone, the others come in once, however often it is run."""
    client, address = bucket
    for name, value in (("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")):
        monkeypatch.setenv(name, value)
    keys = [f"in/{n} ä+%.csv" for n in range(12)]
    etags = {key: client.put_object(Bucket="landing", Key=key, Body=key.encode())["ETag"] for key in keys}
    settings = ("bucket=landing", f"endpoint_url={address}", "region=us-east-1")
    options = [part for text in settings for part in ("--set", text)]
    told = ok(system, "sources", "add", "lake", "--kind", "s3", *options)
    records = [
        {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "eventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "eventName": "ObjectCreated:Put",
            "s3": {
                "bucket": {"name": "landing"},
                "object": {"key": str(httpx.QueryParams({"k": key}))[2:], "eTag": etags[key].strip('"')},
            },
        }
        for key in keys[:5]
    ]
    headers = {"authorization": f"Bearer {told['secret']}"}
    url = f"{system.instance.api_url}/hooks/lake"
    assert httpx.post(url, json={"Records": records}, headers=headers).status_code == 202
    stored = "SELECT count() FROM events WHERE source = 'lake'"
    assert system.wait_count(stored, 5) == 5
    dry = ok(system, "sources", "backfill", "lake", "--since", "1d", "--dry-run")
    assert (dry["listed"], dry["known"], dry["missing"]) == (12, 5, 7)
    assert system.count(stored) == 5
    assert ok(system, "sources", "backfill", "lake", "--since", "1d", "--prefix", "in/1")["emitted"] == 2
    # At once again, before SQL shows the first: the same ids, so nothing is doubled.
    ok(system, "sources", "backfill", "lake", "--since", "1d")
    assert system.wait_count(stored, 12) == 12
    again = ok(system, "sources", "backfill", "lake", "--since", "1d")
    assert (again["listed"], again["known"], again["emitted"]) == (12, 12, 0)
    places = {
        row["resource_id"] for row in system.sql("SELECT resource_id FROM events WHERE source = 'lake'")
    }
    assert places == {f"s3://landing/{key}" for key in keys}
    client.put_object(Bucket="landing", Key=keys[0], Body=b"new")
    assert ok(system, "sources", "backfill", "lake", "--since", "1d")["emitted"] == 1
    assert system.wait_count(stored, 13) == 13


def test_a_broken_toml_leaves_the_sources_as_they_were(system: System, shop: dict[str, Any]) -> None:
    """A typing mistake in the file costs nobody a delivery, and the log says where it is."""
    toml = system.folder / "ensue.toml"
    good = toml.read_text("utf-8")
    toml.write_text(good + "[sources.x\n", "utf-8")
    deadline_s = time.monotonic() + 30
    while "stays as it was" not in system.log("gateway") and time.monotonic() < deadline_s:
        time.sleep(0.1)
    assert "ensue.toml:" in system.log("gateway")
    assert deliver(system, shop["secret"], body("still")).status_code == 202
    toml.write_text(good, "utf-8")
