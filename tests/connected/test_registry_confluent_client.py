"""Confluent's own Python client against our registry."""

import json
import time
from collections.abc import Callable, Iterator

import pytest

from streams.settings import KafkaSettings
from tests.connected.registry_process import RegistryProcess

try:
    from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError
    from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
    from confluent_kafka.serialization import MessageField, SerializationContext
except ModuleNotFoundError as missing:
    pytest.skip(f"confluent-kafka's registry client needs {missing.name}", allow_module_level=True)

pytestmark = pytest.mark.connected


def schema(*names: str, default: bool = True) -> Schema:
    fields = [{"name": name, "type": "int", **({"default": 0} if default else {})} for name in names]
    return Schema(json.dumps({"type": "record", "name": "R", "fields": fields}), "AVRO")


@pytest.fixture
def process(kafka: KafkaSettings, make_topic: Callable[..., str]) -> Iterator[RegistryProcess]:
    with RegistryProcess(kafka, make_topic("_schemas", 1, cleanup_policy="compact")) as started:
        yield started


@pytest.fixture
def client(process: RegistryProcess) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": process.url}) as made:
        yield made


def test_register_look_up_and_read(client: SchemaRegistryClient) -> None:
    """Register, register again, look up, read by id and by version, list."""
    first = client.register_schema("s-value", schema("x"))
    client.clear_caches()
    assert client.register_schema("s-value", schema("x")) == first
    second = client.register_schema("s-value", schema("x", "y"))
    assert second != first
    found = client.lookup_schema("s-value", schema("x"))
    assert (found.schema_id, found.version, found.subject) == (first, 1, "s-value")
    assert json.loads(client.get_schema(first).schema_str) == json.loads(schema("x").schema_str)
    assert client.get_latest_version("s-value").schema_id == second
    assert client.get_version("s-value", 1).schema_id == first
    assert client.get_subjects() == ["s-value"]
    assert client.get_versions("s-value") == [1, 2]


def test_compatibility_and_config(client: SchemaRegistryClient) -> None:
    """Test true and false, refuse the incompatible with 409, read and set the level."""
    client.register_schema("s-value", schema("x"))
    breaking = schema("x", "y", default=False)
    assert client.test_compatibility("s-value", schema("x", "y")) is True
    assert client.test_compatibility("s-value", breaking) is False
    with pytest.raises(SchemaRegistryError, match=r"R\.y") as caught:
        client.register_schema("s-value", breaking)
    assert (caught.value.http_status_code, caught.value.error_code) == (409, 409)
    assert client.get_compatibility() == "BACKWARD"
    with pytest.raises(SchemaRegistryError) as caught:
        client.get_compatibility("s-value")
    assert caught.value.error_code == 40408
    client.set_compatibility("s-value", "NONE")
    assert client.get_compatibility("s-value") == "NONE"
    assert client.register_schema("s-value", breaking) == 2


def test_deletion_soft_and_hard(client: SchemaRegistryClient) -> None:
    """A version and then its subject are hidden and removed."""
    client.register_schema("s-value", schema("x"))
    client.register_schema("s-value", schema("x", "y"))
    assert client.delete_version("s-value", 1) == 1
    assert client.get_versions("s-value") == [2]
    assert client.delete_subject("s-value") == [2]
    assert client.get_subjects() == []
    client.register_schema("t-value", schema("z"))
    assert client.delete_subject("t-value") == [1]
    assert client.delete_subject("t-value", permanent=True) == [1]
    with pytest.raises(SchemaRegistryError) as caught:
        client.get_versions("t-value")
    assert caught.value.error_code == 40401


def test_serializers_make_the_round_trip(client: SchemaRegistryClient) -> None:
    """AvroSerializer registers and frames, AvroDeserializer reads; absent resources cost no time."""
    context = SerializationContext("orders", MessageField.VALUE)
    serialize = AvroSerializer(client, schema("x").schema_str)
    began = time.monotonic()
    framed = serialize({"x": 7}, context)
    assert time.monotonic() - began < 5
    assert framed is not None
    assert framed[0] == 0
    assert AvroDeserializer(client)(framed, context) == {"x": 7}
    assert client.get_subjects() == ["orders-value"]
