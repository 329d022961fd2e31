"""Which installation a command speaks to."""

from pathlib import Path

from streams.errors import EnsueError
from streams.local.instance import Instance, read_instance
from streams.settings import Settings


def load_settings(data: Path | None = None) -> Settings:
    """Return the settings, with the addresses of a running `ensue up` where nothing else is set."""
    settings = Settings() if data is None else Settings(data=data)
    instance = read_instance(settings.data)
    return settings if instance is None else fill_in(settings, instance)


def fill_in(settings: Settings, instance: Instance) -> Settings:
    """Return `settings` completed with the addresses of a running instance."""
    kafka = settings.kafka
    if not kafka.bootstrap_servers:
        kafka = kafka.model_copy(update={"bootstrap_servers": instance.bootstrap_servers})
    clickhouse = settings.clickhouse
    if not clickhouse.url:
        clickhouse = clickhouse.model_copy(update={"url": instance.clickhouse_url})
    registry = settings.registry
    if not registry.url:
        registry = registry.model_copy(update={"url": instance.registry_url})
    return settings.model_copy(
        update={
            "kafka": kafka,
            "clickhouse": clickhouse,
            "registry": registry,
            "api_url": settings.api_url or instance.api_url,
        }
    )


def need(value: str, what: str, variable: str) -> str:
    """Return an address or say how to get one."""
    if not value:
        raise EnsueError(f"no {what} is known: start one with `ensue up`, or set {variable}")
    return value


def api_url(settings: Settings) -> str:
    """Return the gateway's address."""
    return need(settings.api_url, "gateway", "ENSUE_API_URL").rstrip("/")
