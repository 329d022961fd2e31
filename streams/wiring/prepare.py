"""Before the parts go to work: topics and schemas; and the one operation that publishes definitions."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flows.errors import LoadError
from flows.loader import Definition as Loaded
from flows.loader import collect, load
from streams.catalog.definition import Definition, deployment_id, version_of
from streams.catalog.log import KafkaDefinitionsLog
from streams.catalog.publish import publish
from streams.errors import BadInput
from streams.kafka.admin import ensure_topics, wait_ready
from streams.registry.event_schemas import Outcome
from streams.registry.register import build_codec
from streams.settings import Settings
from streams.wiring.common import START_WITHIN_S, topics_of
from streams.wiring.event_types import register_types


def prepare(settings: Settings) -> None:
    """Create topics (or check them) and register our schemas; doing it again changes nothing."""
    wait_ready(settings.kafka, START_WITHIN_S)
    ensure_topics(settings.kafka, topics_of(settings).all())
    build_codec(settings, register=True)


def deploy_files(
    settings: Settings,
    files: Sequence[Path],
    *,
    deployment: str,
    by: str,
    on_schema: Callable[[Outcome], None] | None = None,
) -> list[dict[str, Any]]:
    """Publish what these files define; return what changed, one plain value a trigger.

    Schemas of typed events are registered first; `on_schema` is told of each that is new.
    Raises BadInput with the user's own traceback when a file cannot be loaded.
    """
    schemas: dict[str, str] = {}
    definitions = [definition for path in files for definition in definitions_of(path, schemas)]
    if not definitions:
        raise BadInput(
            f"no flow with a trigger in {', '.join(map(str, files))}; give a flow on=..., as in the README"
        )
    prepare(settings)
    for outcome in register_types(settings, list(schemas.items())):  # before the flows that rely on them
        if outcome.new and on_schema is not None:
            on_schema(outcome)
    log = KafkaDefinitionsLog(settings.kafka, topics_of(settings).triggers.name)
    owner = deployment_id(deployment)
    written = publish(log, build_codec(settings), deployment_id=owner, definitions=definitions, by=by)
    return [
        {
            "change": "removed" if item.removed else "deployed",
            "trigger": item.name,
            "flow": item.flow,
            "version": item.version,
            "flow_version": item.flow_version,
        }
        for item in written
    ]


def definitions_of(path: Path, schemas: dict[str, str] | None = None) -> list[Definition]:
    """Load a flow file and return its triggers as they are published.

    Typed flows put (event name → schema text) into `schemas`. Raises BadInput.
    """
    try:
        found = collect(load(path))
    except LoadError as error:
        raise BadInput("\n".join(filter(None, [str(error), error.traceback]))) from error
    definitions = []
    for one in found:
        _gather(one, schemas if schemas is not None else {})
        for trigger in one.triggers:
            text = json.dumps(trigger, separators=(",", ":"), ensure_ascii=False)
            definitions.append(
                Definition(
                    name=trigger["name"],
                    version=version_of(text, one.flow),
                    definition=text,
                    flow=one.flow,
                    flow_version=one.flow_version,
                    flow_definition=json.dumps(
                        one.flow_definition, separators=(",", ":"), ensure_ascii=False
                    ),
                )
            )
    return definitions


def _gather(flow: Loaded, schemas: dict[str, str]) -> None:
    for name, text in flow.event_schemas.items():
        if schemas.setdefault(name, text) != text:
            raise BadInput(
                f"flow {flow.flow} types {name} otherwise than another flow of this deployment: let both use "
                "one model"
            )
