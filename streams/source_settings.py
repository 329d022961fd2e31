"""`[sources.NAME]`: the configured ways in.

Secrets come by environment (`ENSUE_SOURCES__NAME__SECRETS='["new","old"]'`) or by file (`secrets_file`, one a
line, the newest first), so that several are valid while they are rotated; never by toml.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class SourceGroup(BaseModel):
    """What every source can have.

    Attributes:
        silence_after_s: Without an event for so long `ensue.source.silent` is emitted; None: never.

    """

    model_config = ConfigDict(extra="forbid")

    silence_after_s: float | None = Field(None, gt=0)


class FolderSource(SourceGroup):
    """A watched folder: the bucket of a laptop."""

    kind: Literal["folder"]
    path: Path
    bucket: str | None = Field(None, description="label bucket; the folder's name when unset")
    ignore: list[str] = Field(
        default_factory=lambda: [".*", "*.tmp", "*.part", "*.partial", "*.crdownload", "*~"]
    )
    settle_ms: int = Field(
        200, ge=0, description="quiet time before a file counts as written where leases are unknown"
    )


class HttpSourceSettings(SourceGroup):
    """A source behind /hooks/NAME; which fields count is the kind's affair.

    Attributes:
        token: One secret more, the name it had first.
        secrets: All that are valid now.
        secrets_file: A file of them, read again when it changes.
        tolerance_s: How far a signed time may lie from our clock.
        topic_arns: SNS topics that may send.
        audience: What a Google or Azure token must be for.
        email: Whose Google token it must be.
        issuers: Who may issue tokens: the tenant of an Azure token, for example
            `https://sts.windows.net/TENANT/`.
        query_token_file: File with what `?token=` must be, for senders that can add no header.
        allowed_origins: Senders that may register by the CloudEvents handshake.
        hmac: Header, algorithm, encoding, prefix and template of kind `hmac`.
        event: Template of the event's name; the kind's own naming when unset.
        resource: Template of the resource id.
        mapping: Template of the whole event as JSON, or `from_cloud_event`.
        bucket: What `ensue sources backfill` lists.
        endpoint_url: Where the bucket's S3 interface is; Amazon's own when unset.
        region: Of the bucket.

    """

    kind: Literal[
        "none",
        "s3",
        "minio",
        "sns",
        "eventbridge",
        "gcs",
        "pubsub",
        "azure",
        "eventgrid",
        "standard-webhooks",
        "github",
        "stripe",
        "slack",
        "shopify",
        "hmac",
        "bearer",
        "basic",
        "cloudevents",
    ]
    token: SecretStr | None = None
    secrets: list[SecretStr] = Field(default_factory=list)
    secrets_file: Path | None = None
    tolerance_s: float = Field(300.0, gt=0)
    topic_arns: list[str] = Field(default_factory=list)
    audience: str | None = None
    email: str | None = None
    issuers: list[str] = Field(default_factory=list)
    query_token_file: Path | None = None
    allowed_origins: list[str] = Field(default_factory=list)
    hmac: dict[str, str] | None = None
    event: str | None = None
    resource: str | None = None
    mapping: str | None = None
    bucket: str | None = None
    endpoint_url: str | None = None
    region: str | None = None


class SqsSource(SourceGroup):
    """A queue of Amazon SQS with bucket notifications, consumed directly.

    Credentials come from where Amazon's own tools look for them.
    """

    kind: Literal["sqs"]
    queue_url: str
    region: str | None = None
    endpoint_url: str | None = Field(None, description="another address than Amazon's")
    wait_s: int = Field(20, ge=0, le=20, description="of a long poll")


class KafkaSource(SourceGroup):
    """An existing topic, on this cluster or, with `bootstrap_servers`, on another.

    Passwords come by environment: `ENSUE_SOURCES__NAME__PASSWORD`, `…__SSL_KEY_PASSWORD` and
    `…__REGISTRY_PASSWORD`.

    Attributes:
        topic: Its name; never one of our own.
        format: Of the values; `auto` decides for each record.
        start: Where to begin when the group has never read the topic.
        group: The consumer group; `ensue.source.NAME` when None.
        security_protocol: And what follows up to `password`: of another cluster.
        client: Further librdkafka properties; none that is a secret.
        registry_url: Of the topic's schemas; ours when the topic lies on our cluster.
        registry_user: With `registry_password`, HTTP basic authentication there.
        event: Template of the event's name; `NAME.record` when None.
        resource: Template of the resource id; `kafka://TOPIC/KEY` when None.
        occurred: Template of the time; the record's timestamp when None.

    """

    kind: Literal["kafka"]
    topic: str = Field(min_length=1, max_length=249)
    format: Literal["auto", "avro", "json", "cloudevents", "text"] = "auto"
    start: Literal["earliest", "latest"] = "earliest"
    group: str | None = Field(None, min_length=1, max_length=255)
    bootstrap_servers: str | None = Field(None, min_length=1)
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: str | None = None
    password: SecretStr | None = None
    ssl_ca_location: str | None = None
    ssl_certificate_location: str | None = None
    ssl_key_location: str | None = None
    ssl_key_password: SecretStr | None = None
    client: dict[str, str] = Field(default_factory=dict)
    registry_url: str | None = Field(None, min_length=1)
    registry_user: str | None = None
    registry_password: SecretStr | None = None
    event: str | None = None
    resource: str | None = None
    occurred: str | None = None


Source = Annotated[FolderSource | HttpSourceSettings | SqsSource | KafkaSource, Field(discriminator="kind")]
