"""Kafka settings as each client wants them."""

import dataclasses
import logging

import pytest
from pydantic import SecretStr

from streams.errors import BadInput
from streams.kafka.client_log import OncePerWhile, client_logger
from streams.kafka.config import faust_security, librdkafka_config
from streams.settings import KafkaSettings

pytestmark = pytest.mark.unit

PLAIN = KafkaSettings(bootstrap_servers="a:1, b:2")
SCRAM = KafkaSettings(
    bootstrap_servers="a:1",
    security_protocol="SASL_SSL",
    sasl_mechanism="SCRAM-SHA-512",
    sasl_username="u",
    sasl_password=SecretStr("p"),
    ssl_ca_location="/ca.pem",
)


def test_plain_settings_name_only_what_is_set() -> None:
    """Without a password no SASL or TLS key reaches librdkafka."""
    config = librdkafka_config(PLAIN)
    assert config["bootstrap.servers"] == "a:1, b:2"
    assert config["security.protocol"] == "PLAINTEXT"
    assert not [key for key in config if key.startswith(("sasl", "ssl"))]


def test_secrets_reach_librdkafka_in_clear() -> None:
    """The client gets the password itself, and the CA."""
    config = librdkafka_config(SCRAM)
    assert (config["sasl.mechanism"], config["sasl.username"], config["sasl.password"]) == (
        "SCRAM-SHA-512",
        "u",
        "p",
    )
    assert config["ssl.ca.location"] == "/ca.pem"


def test_extra_settings_override_ours() -> None:
    """Both spellings work: librdkafka's keys, and underscores for dots."""
    config = librdkafka_config(PLAIN, {"linger.ms": 3, "reconnect.backoff.ms": 9}, client_id="x")
    assert (config["linger.ms"], config["reconnect.backoff.ms"], config["client.id"]) == (3, 9, "x")


@pytest.mark.parametrize("missing", ["sasl_mechanism", "sasl_username", "sasl_password"])
def test_half_a_login_is_refused(missing: str) -> None:
    """SASL without one of its three parts is told with the settings' names."""
    half = SCRAM.model_copy(update={missing: None})
    for build in (librdkafka_config, faust_security):
        with pytest.raises(BadInput, match="ENSUE_KAFKA__SASL_PASSWORD"):
            build(half)


def test_a_login_that_would_not_be_used_is_refused() -> None:
    """A user without a SASL protocol would be sent nowhere, so it is an error, not silence."""
    with pytest.raises(BadInput, match="would not be used"):
        librdkafka_config(PLAIN.model_copy(update={"sasl_username": "u"}))


def test_no_broker_is_refused() -> None:
    """An empty address is an error of the caller, with the setting's name."""
    with pytest.raises(BadInput, match="ENSUE_KAFKA__BOOTSTRAP_SERVERS"):
        librdkafka_config(KafkaSettings())


def test_faust_gets_the_same_login() -> None:
    """Broker URLs and credentials come from the same settings, and passwords are not in the repr."""
    plain = faust_security(PLAIN)
    assert plain.broker_urls == ("kafka://a:1", "kafka://b:2")
    assert plain.ssl_context() is None
    assert plain.aiokafka() == {
        "bootstrap_servers": ["a:1", "b:2"],
        "security_protocol": "PLAINTEXT",
        "ssl_context": None,
    }
    login = dataclasses.replace(faust_security(SCRAM), ssl_ca_location=None)
    arguments = login.aiokafka()
    assert (arguments["sasl_plain_username"], arguments["sasl_plain_password"]) == ("u", "p")
    assert arguments["ssl_context"].check_hostname
    assert "'p'" not in repr(login)


def test_a_repeated_client_line_is_told_once_per_while(caplog: pytest.LogCaptureFixture) -> None:
    """The same kind of line of the same client passes once; another kind or client passes too."""
    logger = client_logger()
    assert client_logger() is logger
    assert len([f for f in logger.filters if isinstance(f, OncePerWhile)]) == 1
    with caplog.at_level(logging.ERROR, logger.name):
        for text in ("first", "second"):
            logger.error("%s [%s] %s", "UNIT-FAIL", "client-1", text)
        logger.error("%s [%s] %s", "UNIT-FAIL", "client-2", "third")
        logger.error("%s [%s] %s", "UNIT-OTHER", "client-1", "fourth")
    assert [record.args[2] for record in caplog.records] == ["first", "third", "fourth"]
