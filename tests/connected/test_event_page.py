"""GET /events/{id} on the whole system: what was posted is read back from the store, in every form."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.connected.system import System

pytestmark = [pytest.mark.connected, pytest.mark.timeout(300)]
CLOUD_EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "A-1 \u20ac",
    "source": "https://shop.example/orders?x=1",
    "type": "com.example.order.paid",
    "subject": "order/7",
    "time": "2026-01-31T13:00:00.123456789+01:00",
    "datacontenttype": "application/json",
    "tenant": "t1",
    "attempt": 3,
    "data": {"total": 12.5, "cents": 2**60, "note": "\u20ac \U0001f600", "none": None},
}
STRUCTURED = {"content-type": "application/cloudevents+json"}


def read(client: httpx.Client, event_id: str, **headers: str) -> httpx.Response:
    """The event, once it is stored."""
    deadline = time.monotonic() + 60
    while True:
        answer = client.get(f"/events/{event_id}", headers=headers)
        if answer.status_code != 404 or time.monotonic() > deadline:
            return answer
        assert answer.headers["content-type"] == "application/problem+json"
        time.sleep(0.05)


def test_an_event_is_read_back_in_every_form(tmp_path: Path, broker_parts: None) -> None:
    """A CloudEvent comes out as it came in, sent twice it is one row; a plain event comes out as one."""
    with (
        System(tmp_path, env={"ENSUE_CLOUDEVENTS_ORIGINS": '["sender.example"]'}) as system,
        httpx.Client(base_url=system.instance.api_url, timeout=30) as client,
    ):
        ids = []
        for kind, document in (("+json", CLOUD_EVENT), ("-batch+json", [CLOUD_EVENT])):
            headers = {"content-type": f"application/cloudevents{kind}"}
            taken = client.post("/events", content=json.dumps(document), headers=headers)
            assert taken.status_code == 202, taken.text
            ids += taken.json()["ids"]
        event_id, again = ids
        assert event_id == again

        answer = read(client, event_id, accept="application/cloudevents+json")
        assert (answer.status_code, answer.json()) == (200, CLOUD_EVENT)
        binary = read(client, event_id, accept="application/cloudevents")
        assert (binary.headers["content-type"], binary.json()) == ("application/json", CLOUD_EVENT["data"])
        assert binary.headers["ce-id"] == "A-1%20%E2%82%AC"
        sent_back = client.post("/events", content=binary.content, headers=dict(binary.headers))
        assert sent_back.json() == {"ids": [event_id]}
        plain = read(client, event_id).json()
        assert (plain["event"], plain["resource"]["resource.id"]) == ("com.example.order.paid", "order/7")
        assert plain["payload"]["data"] == CLOUD_EVENT["data"]
        assert (plain["resource"]["ce.tenant"], plain["occurred"]) == ("t1", "2026-01-31T12:00:00.123456Z")

        posted = {
            "event": "custom.done",
            "resource": {"resource.id": "file.1", "bucket": "b"},
            "payload": {"n": 1},
        }
        (own,) = system.post([posted]).json()["ids"]
        found = read(client, own, accept="application/cloudevents+json").json()
        assert (found["id"], found["source"], found["subject"]) == (own, "ensue", "file.1")
        assert (found["type"], found["bucket"], found["data"]) == ("custom.done", "b", {"n": 1})

        assert client.get("/events/nonsense").status_code == 400
        assert read(client, own, accept="text/html").status_code == 406
        origin = {"webhook-request-origin": "sender.example"}
        assert client.options("/events", headers=origin).headers["webhook-allowed-origin"] == "sender.example"
        bad = client.post("/events", content=json.dumps({**CLOUD_EVENT, "id": None}), headers=STRUCTURED)
        assert (bad.status_code, bad.json()["errors"][0]["field"]) == (422, "id")
        assert system.wait_count(f"SELECT count() FROM events WHERE id = '{event_id}'", 1) == 1
