"""A record of a foreign topic starts a flow, through everything."""

import json
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from schemas.topics import Topic
from streams.kafka.admin import ensure_topics
from streams.kafka.config import librdkafka_config
from streams.settings import KafkaSettings
from tests.connected.system import System

pytestmark = [pytest.mark.connected, pytest.mark.timeout(400)]

FLOWS = """
from flows import event_trigger, flow

@flow(on=event_trigger("order.paid"), parameters={"total": "{{ event.payload.total }}"})
def book(total):
    return total
"""
SOURCES = {
    "orders": {
        "kind": "kafka",
        "topic": "shop.orders",
        "event": "order.{{ value.kind }}",
        "resource": "order://{{ value.id }}",
    }
}
ORDER = json.dumps(
    {
        "type": "record",
        "name": "Order",
        "fields": [
            {"name": "id", "type": "long"},
            {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["paid", "open"]}},
            {
                "name": "total",
                "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
            },
        ],
    }
)
RECORDS = 200


def test_each_record_of_a_foreign_topic_starts_its_flow_once(tmp_path: Path) -> None:
    """Avro orders of another program, the gateway killed in between: one run each, and a dead letter."""
    with System(tmp_path, FLOWS, env={"ENSUE_SOURCES": json.dumps(SOURCES)}) as system:
        bootstrap = system.instance.bootstrap_servers
        kafka = KafkaSettings(bootstrap_servers=bootstrap, topic_prefix="shop.")
        topic = Topic(name="shop.orders", key="", schema="", partitions=3, config={})
        ensure_topics(kafka, [topic])
        producer = Producer(librdkafka_config(kafka))
        with SchemaRegistryClient({"url": system.instance.registry_url}) as client:
            serialize = AvroSerializer(client, ORDER)
            for number in range(RECORDS):
                order = {"id": number, "kind": "paid", "total": Decimal(number).scaleb(-2)}
                value = serialize(order, SerializationContext(topic.name, MessageField.VALUE))
                producer.produce(topic.name, key=b"%d" % number, value=value)
                if number == RECORDS // 2:
                    producer.produce(topic.name, value=b"\x00broken")
                    assert producer.flush(30) == 0
                    system.wait_count("SELECT count() FROM events WHERE source = 'orders'", 1)
                    assert system.kill("gateway")
        assert producer.flush(30) == 0
        counted = "SELECT count() FROM runs WHERE flow = 'book' AND state = 'succeeded'"
        assert system.wait_count(counted, RECORDS, 120) == RECORDS, system.log("gateway")
        row = system.sql(
            "SELECT count() AS n, uniqExact(resource_id) AS orders FROM events WHERE source = 'orders'"
        )[0]
        assert (int(row["n"]), int(row["orders"])) == (RECORDS, RECORDS)
        results = {one["result"] for one in system.sql("SELECT result FROM runs WHERE flow = 'book'")}
        assert results == {json.dumps(f"{number / 100:.2f}") for number in range(RECORDS)}
        assert system.wait_count("SELECT count() FROM dead_letters WHERE source = 'orders'", 1) == 1
        letter = system.sql("SELECT reason, error FROM dead_letters WHERE source = 'orders'")[0]
        assert letter["reason"] == "unknown_schema"
        assert "shop.orders[" in letter["error"]
        metrics = httpx.get(f"{system.instance.api_url}/metrics").text
        lags = [line for line in metrics.splitlines() if line.startswith("ensue_source_kafka_lag{")]
        assert len(lags) == 3
        assert all(line.endswith(" 0") for line in lags), lags
