"""Our schemas in a registry: registered at deploy or start, only looked up by running clients."""

from collections.abc import Mapping

from schemas import avro_schema
from schemas.codec import Codec
from schemas.registry import Registry
from schemas.topics import Topics
from streams.errors import BadInput
from streams.registry.client import HttpRegistry
from streams.settings import Settings


def register_all(registry: Registry, names: Topics) -> Mapping[str, int]:
    """Register the schema of every topic under its subject; return schema name → id.

    Raises SchemaRefused (field and reason) and RegistryUnreachable.
    """
    return {
        topic.schema: registry.register(topic.subject, avro_schema.text(topic.schema))
        for topic in names.all()
    }


def lookup_all(registry: Registry, names: Topics) -> Mapping[str, int]:
    """Return schema name → id of what is registered; registers nothing.

    Raises BadInput naming every subject in which our schema is missing, and RegistryUnreachable.
    """
    found: dict[str, int] = {}
    missing: list[str] = []
    for topic in names.all():
        try:
            found[topic.schema] = registry.lookup(topic.subject, avro_schema.text(topic.schema))
        except LookupError:
            missing.append(topic.subject)
    if missing:
        raise BadInput(
            f"the schema registry does not have our version of {', '.join(missing)}: "
            "run `ensue up` or `ensue deploy` of this version first; running parts register nothing"
        )
    return found


def build_codec(settings: Settings, *, register: bool = False, timeout_s: float = 30.0) -> Codec:
    """Return a codec over the registry that the settings name.

    Args:
        settings: `registry.url`, `kafka.topic_prefix`.
        register: True at deploy and start; a running client only looks up.
        timeout_s: How long to wait for a registry that is not up yet, for each call.

    Raises BadInput when no registry is named or a schema is missing, SchemaRefused, RegistryUnreachable.

    """
    if not settings.registry.url:
        raise BadInput("no schema registry is named: set ENSUE_REGISTRY__URL or run `ensue up`")
    registry = HttpRegistry(settings.registry.url, timeout_s=timeout_s)
    kafka = settings.kafka
    names = kafka.topics()
    return Codec(registry, (register_all if register else lookup_all)(registry, names))
