"""Typed events through the whole system: deployed, enforced at the door, typed in the flow and in SQL."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.connected.system import System

pytestmark = [pytest.mark.connected, pytest.mark.timeout(480)]

FLOWS = """
from datetime import datetime
from decimal import Decimal
from pydantic import BaseModel, Field
from flows import Event, emit_event, event_trigger, flow

class OrderPaid(BaseModel):
    id: int
    amount: Decimal = Field(max_digits=12, decimal_places=2)
    at: datetime
    tags: list[str] = []

class Shipped(BaseModel):
    weight: float

@flow(on=event_trigger("order.paid"))
def ship(event: Event[OrderPaid]):
    paid = event.payload
    emit_event("order.shipped", {"resource.id": event.resource_id}, payload=Shipped(weight=1.5))
    return f"{type(paid).__name__} {paid.amount * 2} {paid.at.tzinfo}"

@flow(on=event_trigger("order.shipped"))
def tell(event: Event[Shipped]):
    return event.payload.weight
"""
SECOND = ("    tags: list[str] = []\n", "    tags: list[str] = []\n    currency: str = 'CHF'\n")
BREAKING = ("    amount: Decimal = Field(max_digits=12, decimal_places=2)\n", "    amount: float\n")
WITHIN_S = 10.0


def paid(**payload: Any) -> dict[str, Any]:
    """An order.paid event."""
    whole = {"id": 2**53 + 1, "amount": "1234567890.50", "at": "2026-01-31T12:00:00.123456+01:00", **payload}
    return {"event": "order.paid", "resource": {"resource.id": "order-1"}, "payload": whole}


def until(what: str, true: Callable[[], bool]) -> float:
    """Wait until something holds; return how long it took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < WITHIN_S, f"{what} took more than {WITHIN_S} s"
        time.sleep(0.05)
    return time.monotonic() - began


def columns(system: System) -> dict[str, str]:
    """The columns of the view as SQL describes them."""
    return {row["name"]: row["type"] for row in system.sql("DESCRIBE TABLE events_order_paid")}


def refused(system: System, event: dict[str, Any]) -> dict[str, Any]:
    """The one error of a post that is refused."""
    answer = system.post([paid(), event])
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    return dict(error)


def the_first_version(system: System) -> None:
    """A fitting event runs with the model's instance, another is 422, SQL has typed columns."""
    assert system.post([paid(tags=["a", "é"])]).status_code == 202
    runs = "SELECT count() FROM runs WHERE state = 'succeeded'"
    assert system.wait_count(runs, 2) == 2
    results = {row["flow"]: json.loads(row["result"]) for row in system.sql("SELECT flow, result FROM runs")}
    assert results == {"ship": "OrderPaid 2469135781.00 UTC", "tell": 1.5}
    error = refused(system, paid(amount=12.5))
    assert (error["index"], error["field"]) == (1, "payload.amount")
    assert refused(system, paid(more=1))["field"] == "payload.more"
    assert system.post([{**paid(amount=12.5), "event": "order.seen"}]).status_code == 202
    assert "events_order_paid" in {row["name"] for row in system.sql("SHOW TABLES")}
    (row,) = system.sql(
        "SELECT toTypeName(payload_id) AS a, toTypeName(amount) AS b, toTypeName(at) AS c, "
        "toTypeName(tags) AS d, payload_id = 9007199254740993 AS exact, "
        "amount = toDecimal64('1234567890.50', 2) AS money, toString(at) AS time, tags, resource_id "
        "FROM events_order_paid"
    )
    assert [row[key] for key in "abcd"] == [
        "Int64",
        "Decimal(12, 2)",
        "DateTime64(6, 'UTC')",
        "Array(String)",
    ]
    assert (row["exact"], row["money"], row["time"]) == (1, 1, "2026-01-31 11:00:00.123456")
    assert (row["tags"], row["resource_id"]) == (["a", "é"], "order-1")


def the_second_version(system: System) -> float:
    """A compatible version is deployed: new and old senders are taken, the view has the new column."""
    assert refused(system, paid(currency="EUR"))["field"] == "payload.currency"
    system.flow_file.write_text(FLOWS.replace(*SECOND), "utf-8")
    done = system.ensue("deploy", str(system.flow_file))
    assert done.returncode == 0, done.stderr
    assert "registered schema of order.paid, version 2" in done.stdout
    took_s = until("the new version", lambda: system.post([paid(currency="EUR")]).status_code == 202)
    assert system.post([paid()]).status_code == 202
    until("the new column", lambda: columns(system).get("currency") == "String")
    count = "SELECT count() FROM events_order_paid WHERE currency = '{}'"
    assert system.wait_count(count.format("EUR"), 1) == 1
    assert system.wait_count(count.format("CHF"), 2) == 2
    shown = json.loads(system.ensue("schemas", "show", "order.paid", "--json").stdout)
    assert (shown["version"], shown["view"]) == (2, "events_order_paid")
    return took_s


def a_breaking_version(system: System, folder: Path) -> None:
    """A breaking model or file is refused with field and reason, exit code 2; the second stays in force."""
    system.flow_file.write_text(FLOWS.replace(*BREAKING), "utf-8")
    done = system.ensue("deploy", str(system.flow_file))
    assert done.returncode == 2
    assert "OrderPaid.amount: the new schema cannot read data of version 2" in done.stderr
    file = folder / "breaking.avsc"
    file.write_text('{"type": "record", "name": "OrderPaid", "fields": [{"name": "must", "type": "long"}]}')
    done = system.ensue("schemas", "register", "order.paid", str(file))
    assert done.returncode == 2
    assert "OrderPaid.must: " in done.stderr
    assert "give it a default" in done.stderr
    (row,) = json.loads(system.ensue("schemas", "list", "--json").stdout)[:1]
    assert (row["event"], row["version"]) == ("order.paid", 2)
    assert system.ensue("schemas", "show", "order.none").returncode == 3


def without_the_registry(system: System) -> None:
    """While the registry is gone, untyped events are taken at once and typed ones still judged."""
    assert system.kill("registry")
    assert system.post([{**paid(), "event": "order.seen"}]).status_code == 202
    assert refused(system, paid(amount=1))["field"] == "payload.amount"
    assert system.post([paid()]).status_code == 202


def after_a_restart(system: System) -> None:
    """Registrations survive: the first post after a restart is judged."""
    system.stop()
    system.flow_file.write_text(FLOWS.replace(*SECOND), "utf-8")
    system.start()
    assert refused(system, paid(amount=1))["field"] == "payload.amount"
    assert system.post([paid(currency="EUR")]).status_code == 202


def test_typed_events_through_the_whole_system(tmp_path: Path) -> None:
    """Deploy, door, flow, SQL, evolution, refusal, an outage of the registry, a restart."""
    with System(tmp_path, FLOWS) as system:
        until(
            "the view",
            lambda: bool(system.count("SELECT count() FROM system.tables WHERE name = 'events_order_paid'")),
        )
        the_first_version(system)
        took_s = the_second_version(system)
        a_breaking_version(system, tmp_path)
        without_the_registry(system)
        after_a_restart(system)
    print(f"a new version counted at the door {took_s:.2f} s after the deployment ended")
