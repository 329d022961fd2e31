"""A person's day with the whole system: deploy, emit, look, ask why, mend, deploy again, restart."""

import json
import time
from pathlib import Path

import httpx
import pytest

from tests.connected.system import System

pytestmark = [pytest.mark.connected, pytest.mark.timeout(240)]

FLOWS = """
from flows import event_trigger, flow

@flow(on=event_trigger("order.paid"), parameters={"amount": "{{ event.payload.amount }}"})
def book(amount):
    return float(amount)

@flow(on=event_trigger("order.late", for_each="customer", threshold=2))
def remind():
    raise RuntimeError("no mail server")

@flow(on=event_trigger("order.odd"), parameters={"id": "{{ event.resource.nothing }}"})
def never(id):
    return id
"""


def emitted(system: System, name: str, *options: str) -> str:
    """Emit an event by the command line; return its id."""
    done = system.ensue("emit", name, "--resource", "order.17", *options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def told(system: System, event_id: str, text: str) -> str:
    """What `ensue why` says of an event once it contains `text`."""
    deadline = time.monotonic() + 20
    while True:
        said = system.ensue("why", event_id).stdout
        if text in said or time.monotonic() > deadline:
            return said
        time.sleep(0.2)


def test_a_day_with_ensue(tmp_path: Path) -> None:
    """Everything that the command line promises holds against the real system."""
    with System(tmp_path, FLOWS) as system:
        paid = emitted(system, "order.paid", "--payload", '{"amount": 12.5}')
        said = told(system, paid, "flow book succeeded")
        assert "trigger book fired: because order.paid happened to order.17" in said
        assert "flow book succeeded" in said

        odd = emitted(system, "order.odd")
        assert "trigger never did not fire, error" in told(system, odd, "did not fire")
        assert "nothing" in told(system, odd, "did not fire")

        first = emitted(system, "order.late", "--label", "customer=ann")
        assert "did not fire, waiting" in told(system, first, "waiting")
        other = emitted(system, "order.late", "--label", "customer=bob")
        assert "did not fire, waiting" in told(system, other, "waiting")
        check_reading(system)
        check_http(system)
        mend_and_deploy_again(system)
        check_second_up(system)
    with System(tmp_path, FLOWS.replace('raise RuntimeError("no mail server")', 'return "sent"')) as again:
        # The first of two was counted before the restart.
        second = emitted(again, "order.late", "--label", "customer=ann")
        said = told(again, second, "flow remind succeeded")
        assert "flow remind succeeded" in said
        up = json.loads(again.ensue("why", second, "--json").stdout)
        firing = next(node for node in up["down"] if node["kind"] == "firing")
        assert firing["event_ids"] == [first, second]


def check_reading(system: System) -> None:
    """Lists, filters, JSON, SQL and their exit codes."""
    runs = json.loads(system.ensue("runs", "--flow", "book", "--json").stdout)
    assert [(run["flow"], run["state"], run["result"]) for run in runs] == [("book", "succeeded", 12.5)]
    assert system.ensue("runs", "--state", "failed").returncode == 3
    assert "order.paid" in system.ensue("events", "--event", "order.*", "--since", "10m").stdout
    verdicts = json.loads(system.ensue("verdicts", "--state", "waiting", "--json").stdout)
    assert {row["group_key"] for row in verdicts} == {"ann", "bob"}
    counted = system.ensue("sql", "SELECT count() AS n FROM events WHERE event = 'order.paid'", "--json")
    assert json.loads(counted.stdout) == [{"n": 1}] or json.loads(counted.stdout) == [{"n": "1"}]
    refused = system.ensue("sql", "DROP TABLE events")
    assert refused.returncode == 2
    assert system.ensue("why", "0" * 36).returncode in {2, 3}
    status = json.loads(system.ensue("status", "--json").stdout)
    assert {part["state"] for part in status["parts"]} == {"ready"}
    assert system.ensue("doctor").returncode == 0


def check_http(system: System) -> None:
    """The gateway's answers: lines, a bad item, SQL, a foreign page's content type."""
    url = system.instance.api_url
    lines = "\n".join(
        json.dumps({"event": "order.seen", "resource": {"resource.id": f"o.{number}"}}) for number in range(3)
    )
    answer = httpx.post(f"{url}/events", content=lines, headers={"Content-Type": "application/x-ndjson"})
    assert answer.status_code == 202
    assert len(answer.json()["ids"]) == 3
    bad = httpx.post(f"{url}/events", json=[{"event": "a", "resource": {"resource.id": "r"}}, {"event": "b"}])
    assert bad.status_code == 422
    assert bad.json()["errors"][0]["index"] == 1
    assert httpx.post(f"{url}/events", content=lines).status_code == 415
    forged = httpx.post(f"{url}/events", json={"event": "ensue.run.failed", "resource": {"resource.id": "r"}})
    assert forged.status_code == 422
    asked = httpx.post(f"{url}/sql", json={"query": "SELECT 1 AS one"})
    assert asked.status_code == 200
    assert asked.json()["data"] == [{"one": 1}]
    assert httpx.post(f"{url}/sql", json={"query": "SYSTEM SHUTDOWN"}).status_code == 422
    assert httpx.get(f"{url}/health/ready").json()["status"] == "ready"


def mend_and_deploy_again(system: System) -> None:
    """The second event of a customer fires, the run fails, the flow is mended and deployed while running."""
    second = emitted(system, "order.late", "--label", "customer=bob")
    said = told(system, second, "no mail server")
    assert "flow remind failed" in said
    assert "RuntimeError: no mail server" in said
    system.flow_file.write_text(
        FLOWS.replace('raise RuntimeError("no mail server")', 'return "sent"'), "utf-8"
    )
    deployed = system.ensue("deploy", str(system.flow_file))
    assert deployed.returncode == 0, deployed.stderr
    assert "deployed remind" in deployed.stdout
    for _ in range(2):
        last = emitted(system, "order.late", "--label", "customer=cid")
    assert "flow remind succeeded" in told(system, last, "flow remind succeeded")


def check_second_up(system: System) -> None:
    """A second `ensue up` in the same folder is refused and disturbs nothing."""
    second = system.ensue("up")
    assert second.returncode == 2
    assert "in use by another" in second.stderr
    assert json.loads(system.ensue("status", "--json").stdout)["state"] == "ready"
