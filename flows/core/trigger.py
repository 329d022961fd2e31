"""A trigger: which events start which flow."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flows.core import predicate
from flows.core.predicate import LabelMap, Pattern
from flows.core.view import EventView
from schemas.event import PREFECT_ROLE_LABEL, ROLE_LABEL

RELATED_PREFIX = "related:"
THRESHOLD_MAX = 1000  # events held until the last one comes; they travel in one state row and one run request


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A trigger in force.

    Attributes:
        name: Identity, together with the group key.
        version: Hash of its definition; data, never identity.
        flow: The flow it starts.
        flow_version: Version of the flow's file it was deployed with.
        pool: Worker pool of the flow.
        expect: Event names as globs; empty means any.
        match: What the resource's labels must be.
        match_related: Maps of which each must be satisfied by one related resource.
        for_each: Labels that split the events into groups, counted apart.
        threshold: How many events of a group it takes.
        posture: `Reactive`: it fires on what happens.
        parameters: JSON with templates: what the run is called with.
        enabled: A paused trigger answers `paused` to every event.

    """

    name: str
    flow: str
    version: str = ""
    flow_version: str = ""
    pool: str = "default"
    expect: tuple[Pattern, ...] = ()
    match: LabelMap = ()
    match_related: tuple[LabelMap, ...] = ()
    for_each: tuple[str, ...] = ()
    threshold: int = 1
    posture: str = "Reactive"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    enabled: bool = True

    def accepts_name(self, name: str) -> bool:
        """Return whether an event of this name may interest the trigger."""
        return not self.expect or predicate.first_accepting(self.expect, name) is not None

    def accepts_labels(self, event: EventView) -> bool:
        """Return whether resource and related resources are as wanted."""
        return predicate.accepts(self.match, event.resource) and predicate.accepts_related(
            self.match_related, event.related
        )

    def group(self, event: EventView) -> dict[str, str]:
        """Return the values of `for_each`, sorted by label; a missing label counts as empty."""
        return {label: _group_value(label, event) for label in sorted(self.for_each)}

    def group_key(self, event: EventView) -> str:
        """Return the group as text: empty without `for_each`, the value of one label, else a JSON array."""
        values = list(self.group(event).values())
        if len(values) <= 1:
            return values[0] if values else ""
        return json.dumps(values, separators=(",", ":"), ensure_ascii=False)


def _group_value(label: str, event: EventView) -> str:
    """`related:ROLE:LABEL` reads the first related resource of the role, anything else the resource."""
    if not label.startswith(RELATED_PREFIX):
        return predicate.lookup(event.resource, label) or ""
    role, _, name = label.removeprefix(RELATED_PREFIX).partition(":")
    for labels in event.related:
        if role in (labels.get(ROLE_LABEL), labels.get(PREFECT_ROLE_LABEL)):
            return predicate.lookup(labels, name) or ""
    return ""
