"""The one operation that changes definitions: by `ensue up`, `ensue deploy`, console or API (DESIGN 5.15)."""

import json
import random
import time
from collections.abc import Sequence
from dataclasses import replace

from flows.definition import from_record
from flows.errors import InvalidDefinition
from schemas.codec import Codec
from schemas.identity import derived_id
from schemas.record import Trigger
from streams.catalog.catalog import Catalog
from streams.catalog.definition import DEPLOYED, REMOVED, Definition
from streams.catalog.log import PARTITION, DefinitionsLog, decoded
from streams.clock import Clock, SystemClock
from streams.errors import BadInput, Fenced, Transport
from streams.kafka.batches import BEGINNING

_ATTEMPTS_MAX = 8
_TURN_S = 0.1
_READ_TIMEOUT_S = 30.0
_BATCH_MAX = 1000


def publish(
    log: DefinitionsLog,
    codec: Codec,
    *,
    deployment_id: str,
    definitions: Sequence[Definition],
    by: str,
    clock: Clock | None = None,
) -> list[Trigger]:
    """Make `definitions` what this deployment has, and return the records written; blocks.

    Writes what changed and removes what the deployment owned and no longer has, all acknowledged before it
    returns. Two at once take turns: the later one shuts the earlier out, which then starts over, so that
    neither decides on an old view. Doing it again writes nothing.

    Args:
        log: The triggers log.
        codec: With the id of schema `trigger`.
        deployment_id: The owner; see `definition.deployment_id`.
        definitions: All that it has from now on.
        by: Who publishes, for people: a command, a user.
        clock: Gives `published`.

    Raises:
        BadInput: A definition is none, a name is there twice or belongs to another deployment.
        Transport: The log did not answer; nothing, some or all was written: publish again.

    """
    published_us = (clock or SystemClock()).now_us()
    wanted = _checked(definitions, deployment_id)
    for attempt in range(1, _ATTEMPTS_MAX + 1):
        try:
            return _publish_once(log, codec, deployment_id, wanted, by, published_us)
        except Fenced:
            if attempt == _ATTEMPTS_MAX:
                raise
            time.sleep(_TURN_S * attempt * (0.5 + random.random()))  # noqa: S311 - parts two that took turns
    raise AssertionError("unreachable")


def _publish_once(
    log: DefinitionsLog, codec: Codec, owner: str, wanted: dict[str, Definition], by: str, published_us: int
) -> list[Trigger]:
    writer = log.open_writer()
    try:
        known = read_all(log, codec)
        changes = changed(known, owner, wanted, by=by, published_us=published_us)
        if changes:
            writer.write([(item.name.encode(), codec.encode(item)) for item in changes])
        return changes
    finally:
        writer.close()


def read_all(log: DefinitionsLog, codec: Codec, timeout_s: float = _READ_TIMEOUT_S) -> Catalog:
    """Return the catalog of everything that is in the log now; raises Transport."""
    catalog = Catalog()
    place = (log.topic, PARTITION)
    reader = log.open_reader()
    try:
        reader.assign({place: BEGINNING})
        end = reader.watermarks(*place)[1]
        deadline_s = time.monotonic() + timeout_s
        while reader.positions[place] < end:
            if time.monotonic() > deadline_s:
                raise Transport(
                    f"{log.topic} was not read up to offset {end} within {timeout_s:g} s; try again"
                )
            try:
                decoded(reader.consume(_BATCH_MAX, 0.2), codec, catalog.apply)
            except OSError as error:
                raise Transport(f"{log.topic} cannot be read without the schema registry: {error}") from error
        catalog.advance(reader.positions[place])
    finally:
        reader.close()
    return catalog


def changed(
    known: Catalog, owner: str, wanted: dict[str, Definition], *, by: str, published_us: int
) -> list[Trigger]:
    """Return the records that turn what is known into what is wanted: new and changed, then removed. Pure."""
    newest = known.newest()
    found: list[Trigger] = []
    for name, definition in wanted.items():
        offset, current = newest.get(name, (-1, None))
        if current is not None and not current.removed and current.deployment_id != owner:
            raise BadInput(
                f"trigger {name} belongs to another deployment ({current.deployment_id}, published by "
                f"{current.published_by}, flow {current.flow}): remove it there, or give yours another name"
            )
        if current is None or current.deployment_id != owner or not definition.same_as(current):
            found.append(_record(definition, owner, offset, by, published_us))
    for name, (offset, current) in newest.items():
        if current.deployment_id == owner and not current.removed and name not in wanted:
            found.append(
                replace(
                    current,
                    id=derived_id("trigger", name, offset, REMOVED),
                    event=REMOVED,
                    removed=True,
                    published=published_us,
                    published_by=by,
                )
            )
    return found


def _record(definition: Definition, owner: str, after: int, by: str, published_us: int) -> Trigger:
    return Trigger(
        # With the offset it follows: the same version deployed again after its removal is another record.
        id=derived_id("trigger", definition.name, after, definition.version, definition.flow_version, owner),
        event=DEPLOYED,
        name=definition.name,
        version=definition.version,
        definition=definition.definition,
        flow=definition.flow,
        flow_version=definition.flow_version,
        flow_definition=definition.flow_definition,
        deployment_id=owner,
        published=published_us,
        published_by=by,
    )


def _checked(definitions: Sequence[Definition], owner: str) -> dict[str, Definition]:
    """Return them by name; raises BadInput for what could never be put in force."""
    found: dict[str, Definition] = {}
    for definition in definitions:
        if definition.name in found:
            raise BadInput(f"two triggers are named {definition.name}: a trigger's name is its identity")
        found[definition.name] = definition
        try:
            if not isinstance(json.loads(definition.flow_definition), dict):
                raise BadInput(f"trigger {definition.name}: flow_definition must be a JSON object")
            item = from_record(_record(definition, owner, -1, "", 0))
        except (InvalidDefinition, ValueError) as error:
            raise BadInput(f"trigger {definition.name} cannot be deployed: {error}") from error
        if item.name != definition.name:
            raise BadInput(
                f"trigger {definition.name} is named {item.name} in its own definition: use one name"
            )
    return found
