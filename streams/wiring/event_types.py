"""Schemas of event names: registered at deploy, followed by gateway, worker and sink."""

from collections.abc import Callable, Mapping, Sequence

from schemas.event_type import EventType, EventTypes
from streams.errors import BadInput
from streams.registry.client import HttpRegistry
from streams.registry.event_schemas import EventSchemas, Outcome
from streams.registry.type_follower import TypeFollower
from streams.settings import Settings
from streams.wiring.common import patiently

_CLI_WITHIN_S = 15.0


def event_schemas(settings: Settings) -> EventSchemas:
    """Return the registry's schemas of this installation's event names; raises BadInput without one."""
    if not settings.registry.url:
        raise BadInput("no schema registry is named: set ENSUE_REGISTRY__URL or run `ensue up`")
    registry = HttpRegistry(settings.registry.url, timeout_s=_CLI_WITHIN_S)
    return EventSchemas(registry, settings.kafka.topic_prefix)


def known_types(settings: Settings) -> EventTypes:
    """Return all typed names, in force when this returns and kept so by a thread until the process ends."""
    types = EventTypes()

    def take(found: Mapping[str, EventType]) -> None:
        types.by_name = dict(found)

    follower = TypeFollower(event_schemas(settings), take)
    patiently(follower.look, "the schema registry")
    follower.start()
    return types


def follow_types(settings: Settings, take: Callable[[Mapping[str, EventType]], None]) -> TypeFollower:
    """Hand all types to `take` from now on, whenever registry and `take` are there; close the follower."""
    follower = TypeFollower(event_schemas(settings), take)
    follower.start()
    return follower


def register_types(settings: Settings, wanted: Sequence[tuple[str, str]]) -> list[Outcome]:
    """Register (event name, schema text); raises BadInput, with field and reason, for the first refused."""
    schemas = event_schemas(settings)
    return [schemas.register(name, text) for name, text in wanted]
