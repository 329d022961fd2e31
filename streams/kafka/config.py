"""Kafka settings as each client wants them: librdkafka's keys, and what Faust (aiokafka) needs."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from streams.errors import BadInput
from streams.kafka.client_log import client_logger
from streams.settings import KafkaSettings

# As the topics allow (schemas.topics); an event is far smaller, a candidate may hold several.
MESSAGE_BYTES_MAX = 8 << 20


def librdkafka_config(
    settings: KafkaSettings, extra: Mapping[str, Any] | None = None, /, **more: Any
) -> dict[str, Any]:
    """Return a configuration for any confluent-kafka client.

    Args:
        settings: where the broker is and how to identify to it.
        extra: librdkafka keys as they are (`{"linger.ms": 5}`); override what settings give.
        more: the same with underscores (`linger_ms=5`).

    """
    _check(settings)
    config: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap_servers,
        "security.protocol": settings.security_protocol,
        "sasl.mechanism": settings.sasl_mechanism,
        "sasl.username": settings.sasl_username,
        "sasl.password": _secret(settings.sasl_password),
        "ssl.ca.location": settings.ssl_ca_location,
        "ssl.certificate.location": settings.ssl_certificate_location,
        "ssl.key.location": settings.ssl_key_location,
        "ssl.key.password": _secret(settings.ssl_key_password),
        # A broker that restarts is found again at once; the default backs off to ten seconds.
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,
        "message.max.bytes": MESSAGE_BYTES_MAX,
        # Else librdkafka writes to stderr past every log setting of ours.
        "logger": client_logger(),
    }
    config |= extra or {}
    config |= {name.replace("_", "."): value for name, value in more.items()}
    return {name: value for name, value in config.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class FaustSecurity:
    """What a Faust app needs to reach the broker; plain values, Faust itself stays in its room."""

    broker_urls: tuple[str, ...]
    security_protocol: str
    sasl_mechanism: str | None
    sasl_username: str | None
    sasl_password: str | None = field(repr=False)
    ssl_ca_location: str | None
    ssl_certificate_location: str | None
    ssl_key_location: str | None
    ssl_key_password: str | None = field(repr=False)

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the TLS settings, None without TLS."""
        if "SSL" not in self.security_protocol:
            return None
        context = ssl.create_default_context(cafile=self.ssl_ca_location)
        if self.ssl_certificate_location:
            context.load_cert_chain(
                self.ssl_certificate_location, self.ssl_key_location, self.ssl_key_password
            )
        return context

    def aiokafka(self) -> dict[str, Any]:
        """Return keyword arguments for aiokafka's clients, Faust's own driver."""
        arguments: dict[str, Any] = {
            "bootstrap_servers": [url.removeprefix("kafka://") for url in self.broker_urls],
            "security_protocol": self.security_protocol,
            "ssl_context": self.ssl_context(),
        }
        if self.sasl_mechanism:
            arguments |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.sasl_password,
            }
        return arguments


def faust_security(settings: KafkaSettings) -> FaustSecurity:
    """Return what Faust needs, from the same settings as every other client."""
    _check(settings)
    hosts = [host.strip() for host in settings.bootstrap_servers.split(",")]
    return FaustSecurity(
        broker_urls=tuple(f"kafka://{host}" for host in hosts if host),
        security_protocol=settings.security_protocol,
        sasl_mechanism=settings.sasl_mechanism,
        sasl_username=settings.sasl_username,
        sasl_password=_secret(settings.sasl_password),
        ssl_ca_location=settings.ssl_ca_location,
        ssl_certificate_location=settings.ssl_certificate_location,
        ssl_key_location=settings.ssl_key_location,
        ssl_key_password=_secret(settings.ssl_key_password),
    )


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value is not None else None


def _check(settings: KafkaSettings) -> None:
    if not settings.bootstrap_servers:
        raise BadInput("no Kafka broker is named: set ENSUE_KAFKA__BOOTSTRAP_SERVERS or start the local one")
    if settings.security_protocol.startswith("SASL_"):
        if not (settings.sasl_mechanism and settings.sasl_username and settings.sasl_password):
            raise BadInput(
                f"ENSUE_KAFKA__SECURITY_PROTOCOL is {settings.security_protocol}, which needs "
                "ENSUE_KAFKA__SASL_MECHANISM, ENSUE_KAFKA__SASL_USERNAME and ENSUE_KAFKA__SASL_PASSWORD"
            )
    elif settings.sasl_username:
        raise BadInput(
            "ENSUE_KAFKA__SASL_USERNAME is set but would not be used: "
            f"ENSUE_KAFKA__SECURITY_PROTOCOL is {settings.security_protocol}, not SASL_PLAINTEXT or SASL_SSL"
        )
