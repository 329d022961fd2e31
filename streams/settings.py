"""Settings: `ensue.toml` in the working folder, overridden by `ENSUE_*` (`__` between levels).

Secrets come by environment or a secrets file, never by toml.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from schemas.topics import Topics, topics
from streams.source_settings import Source

PORT_DEFAULT = 4288


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid")


class KafkaSettings(_Group):
    """An existing broker when `bootstrap_servers` is set, else the embedded one."""

    bootstrap_servers: str = ""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_location: str | None = None
    ssl_certificate_location: str | None = None
    ssl_key_location: str | None = None
    ssl_key_password: SecretStr | None = None
    topic_prefix: str = "ensue."
    partitions: int = Field(8, ge=1, le=1024, description="of every sharded topic; immutable once created")
    replication: int = Field(1, ge=1)

    def topics(self) -> Topics:
        """Return the topics of this installation."""
        return topics(self.topic_prefix, self.partitions, self.replication)


class ClickHouseSettings(_Group):
    """A ClickHouse HTTP endpoint; the embedded store when `url` is empty."""

    url: str = ""
    database: str = "ensue"
    user: str = "reader"
    password: SecretStr = SecretStr("")
    writer_user: str = "writer"
    writer_password: SecretStr = SecretStr("")


class RegistrySettings(_Group):
    """A Confluent-compatible schema registry; our own when `url` is empty."""

    url: str = ""


class LimitSettings(_Group):
    """What the gateway takes in at most."""

    body_bytes: int = Field(8 << 20, ge=1024)
    event_bytes: int = Field(1 << 20, ge=256, le=7 << 20, description="below Kafka's 8 MiB")
    events_per_body: int = Field(100_000, ge=1)
    depth: int = Field(64, ge=1, le=512)
    labels: int = Field(500, ge=1)
    related: int = Field(100, ge=0)
    name_chars: int = Field(1024, ge=1)
    in_flight_bytes: int = Field(64 << 20, ge=1 << 20)
    ack_timeout_s: float = Field(10.0, gt=0)


class WorkerSettings(_Group):
    """Evaluate and run."""

    slots: int = Field(4, ge=1, le=256, description="runs at a time; each in a process of its own")
    claims_max: int = Field(
        120_000, ge=1, description="unfinished runs held; beyond it requests wait in Kafka"
    )
    session_timeout_s: float = Field(8.0, gt=1)
    run_timeout_s: float = Field(3600.0, gt=0, description="for flows that give none")
    output_bytes: int = Field(64 << 10, ge=0, description="of a run's printed output kept with its failure")


class SinkSettings(_Group):
    """Kafka to ClickHouse."""

    ordinal: int = Field(0, ge=0)
    of: int = Field(1, ge=1, description="sinks in all; each owns fixed partitions")
    batch_records: int = Field(20_000, ge=1)
    batch_ms: int = Field(200, ge=1, description="how long rows may wait for company")


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix="ENSUE_",
        env_nested_delimiter="__",
        toml_file="ensue.toml",
        extra="forbid",
        nested_model_default_partial_update=True,
    )

    api_url: str = ""
    data: Path = Path(".ensue")
    host: str = "127.0.0.1"
    port: int = Field(PORT_DEFAULT, ge=0, le=65535)
    store_port: int = Field(4289, ge=0, le=65535)
    registry_port: int = Field(4290, ge=0, le=65535)
    broker_port: int = Field(4292, ge=0, le=65535)
    allowed_hosts: list[str] = Field(
        default_factory=list, description="Host names accepted beside loopback's"
    )
    cloudevents_origins: list[str] = Field(
        default_factory=list, description="senders that may register at /events by handshake; * for any"
    )
    prefect_auth_string: SecretStr | None = Field(
        None, description="`user:password` that Prefect's clients must show below /api; none: nobody is asked"
    )
    dedupe_for_s: float = Field(
        3600.0, gt=0, description="ids younger than this are known without asking the store"
    )
    dedupe_ids_max: int = Field(200_000, ge=1, description="ids remembered per partition")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    kafka: KafkaSettings = KafkaSettings()
    clickhouse: ClickHouseSettings = ClickHouseSettings()
    registry: RegistrySettings = RegistrySettings()
    limits: LimitSettings = LimitSettings()
    worker: WorkerSettings = WorkerSettings()
    sink: SinkSettings = SinkSettings()
    sources: dict[str, Source] = Field(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order: arguments, environment, ensue.toml, secret files."""
        del dotenv_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls), file_secret_settings
