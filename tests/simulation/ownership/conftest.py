"""A broker of its own for each experiment: the nemesis needs nobody beside it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.errors import BadInput, Transport
from streams.local.broker import LocalBroker
from streams.local.ports import choose_port
from tests.support import service_missing


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[str]:
    """The address of a broker of this test's own."""
    local = LocalBroker(
        tmp_path / "broker",
        choose_port(),
        # On a busy machine a starved broker must not lose its lease on the controller: it is not under test.
        properties={"group.initial.rebalance.delay.ms": "0", "broker.session.timeout.ms": "30000"},
    )
    try:
        local.start()
    except (BadInput, Transport) as error:
        service_missing(f"no Kafka broker: {error}")
    try:
        yield local.bootstrap
    finally:
        local.stop()
