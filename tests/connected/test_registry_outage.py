"""The registry while its broker dies and comes back."""

import json
from pathlib import Path

import pytest

from streams.local.broker import LocalBroker
from streams.local.ports import choose_port
from streams.registry.client import HttpRegistry, RegistryUnreachable
from tests.connected.registry_process import RegistryProcess

pytestmark = pytest.mark.connected


def schema(number: int) -> str:
    return json.dumps({"type": "record", "name": "R", "fields": [{"name": f"f{number}", "type": "int"}]})


def test_a_broker_that_dies_costs_time_only(broker_folder: Path) -> None:
    """With the broker killed nothing is answered as registered; back again the same process goes on."""
    broker = LocalBroker(broker_folder, choose_port())
    broker.start()
    try:
        with RegistryProcess(broker.settings(), "_schemas") as process:
            with HttpRegistry(process.url) as client:
                first = client.register("a", schema(1))
            broker.kill()
            with (
                HttpRegistry(process.url, timeout_s=1) as client,
                pytest.raises(RegistryUnreachable, match="did not answer within 1 s"),
            ):
                client.register("b", schema(2))
            with HttpRegistry(process.url) as client:
                assert client.schema(first) == schema(1)  # reading needs no broker
            broker.start()
            with HttpRegistry(process.url, timeout_s=90) as client:
                second = client.register("b", schema(2))
                assert second == first + 1
                assert client.register("a", schema(1)) == first
                assert client.register("c", schema(3)) == second + 1
    finally:
        broker.stop()
