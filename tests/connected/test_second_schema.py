"""A second version of the event schema, written by Confluent's own client beside the gateway's."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from schemas import avro_schema
from schemas.new_id import new_id
from schemas.shard import shard
from schemas.topics import PARTITIONS_LOCAL, topics
from tests.connected.system import System

pytestmark = [pytest.mark.connected, pytest.mark.timeout(240)]

FLOWS = """
from flows import event_trigger, flow

@flow(on=event_trigger("tank.filled", threshold=2), parameters={"litres": "{{ event.payload.litres }}"})
def two_of_them(litres):
    return litres

@flow(on=event_trigger("tank.emptied"), parameters={"litres": "{{ event.payload.litres }}"})
def one(litres):
    return litres
"""


def newer_schema() -> str:
    """Tell of a release that knows one field more, in the middle, and one less."""
    newer = json.loads(avro_schema.text("event"))
    fields = [item for item in newer["fields"] if item["name"] != "depth"]
    fields.insert(3, {"name": "severity", "type": "string", "default": "normal"})
    return json.dumps({**newer, "fields": fields})


def newer_event(name: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Make an event as the newer release writes it."""
    now, number = datetime.now(UTC), new_id()
    known = {item["name"]: item for item in json.loads(newer_schema())["fields"]}
    values = {field: item["default"] for field, item in known.items() if "default" in item}
    return {
        **values,
        "id": number,
        "correlation_id": number,
        "event": name,
        "resource_id": "tank.7",
        "occurred": now,
        "received": now,
        "resource": '{"resource.id":"tank.7"}',
        "related": "[]",
        "payload": json.dumps(payload),
        "source": "newer",
        "severity": "high",
    }


def write(system: System, event: dict[str, Any]) -> None:
    """Write an event with Confluent's serializer, which registers its schema, and wait for the broker."""
    topic = topics(partitions=PARTITIONS_LOCAL).events
    with SchemaRegistryClient({"url": system.instance.registry_url}) as registry:
        serializer = AvroSerializer(registry, newer_schema())
        value = serializer(event, SerializationContext(topic.name, MessageField.VALUE))
    assert value is not None
    failed: list[object] = []
    producer = Producer({"bootstrap.servers": system.instance.bootstrap_servers})
    producer.produce(
        topic.name,
        value,
        event["resource_id"].encode(),
        shard(event["resource_id"], topic.partitions),
        on_delivery=lambda error, _: failed.append(error) if error else None,
    )
    assert producer.flush(30) == 0
    assert failed == []


def test_a_second_schema_version_is_stored_and_routed_beside_the_first(tmp_path: Path) -> None:
    """One event of each version completes threshold 2, in both orders, and all are rows; none is dead."""
    with System(tmp_path, FLOWS) as system:
        older = {"event": "tank.filled", "resource": {"resource.id": "tank.7"}, "payload": {"litres": 1}}
        ids: list[str] = []
        for newer_first in (False, True):
            written = newer_event("tank.filled", {"litres": 2})
            if newer_first:
                write(system, written)
            ids += system.post([older]).json()["ids"]
            if not newer_first:
                write(system, written)
            ids.append(written["id"])
        lone = newer_event("tank.emptied", {"litres": 3})
        write(system, lone)

        finished = "SELECT count() FROM runs WHERE state = 'succeeded'"
        assert system.wait_count(finished, 3) == 3, system.log("worker")
        stored = system.sql("SELECT toString(id) AS id, source FROM events WHERE event LIKE 'tank.%'")
        assert {row["id"] for row in stored} == {*ids, lone["id"]}
        assert sorted(row["source"] for row in stored) == ["", "", "newer", "newer", "newer"]
        with SchemaRegistryClient({"url": system.instance.registry_url}) as registry:
            subject = topics(partitions=PARTITIONS_LOCAL).events.subject
            assert len(registry.get_versions(subject)) == 2
        assert system.count("SELECT count() FROM dead_letters") == 0
        said = system.ensue("why", lone["id"]).stdout
        assert "flow one succeeded" in said
