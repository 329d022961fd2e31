"""What the local broker is told at its start."""

import pytest

from streams.local.broker_files import ScramUser, log_properties, server_properties

pytestmark = pytest.mark.unit


def parsed(text: str) -> dict[str, str]:
    """The properties as Java reads them (no escapes are used)."""
    return dict(line.split("=", 1) for line in text.splitlines())


def test_the_broker_is_told_what_the_protocol_needs() -> None:
    """Log append time, no topics by accident, one node, loopback."""
    found = parsed(server_properties(port=11, controller_port=12, scram_user=None, more={}))
    assert found["log.message.timestamp.type"] == "LogAppendTime"
    assert found["auto.create.topics.enable"] == "false"
    assert found["listeners"] == "PLAINTEXT://127.0.0.1:11,CONTROLLER://127.0.0.1:12"
    assert found["controller.quorum.voters"] == "1@127.0.0.1:12"
    assert "/" not in found["log.dirs"]


def test_own_settings_win() -> None:
    """What a caller gives replaces ours."""
    found = parsed(
        server_properties(port=1, controller_port=2, scram_user=None, more={"log.retention.hours": "1"})
    )
    assert found["log.retention.hours"] == "1"


def test_a_password_closes_the_only_client_listener() -> None:
    """With a user there is no listener for clients that asks for none."""
    user = ScramUser(name="u", password="p w")
    found = parsed(server_properties(port=1, controller_port=2, scram_user=user, more={}))
    assert found["listeners"].startswith("SASL_PLAINTEXT://")
    assert "CONTROLLER:PLAINTEXT" in found["listener.security.protocol.map"]
    assert ",PLAINTEXT://" not in found["listeners"]
    assert found["inter.broker.listener.name"] == "SASL_PLAINTEXT"


@pytest.mark.parametrize("text", ["", 'a"b', "a]b", "a,b", "a;b", "a\nb"])
def test_a_user_that_would_break_the_file_is_refused(text: str) -> None:
    """Marks that end a value in Kafka's syntax are refused."""
    with pytest.raises(ValueError, match="SCRAM"):
        ScramUser(name="u", password=text)


def test_the_log_is_bounded() -> None:
    """One file of ten megabytes and four older ones."""
    found = log_properties()
    assert "size = 10MB" in found
    assert "strategy.max = 4" in found
