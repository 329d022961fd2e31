"""Trigger builders: short ways to write Trigger JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Values = str | Sequence[str | Mapping[str, bool]]
Match = Mapping[str, Values]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTrigger:
    """A trigger as written beside a flow; `definition` is its Trigger JSON, checked by `@flow`."""

    name: str | None = None
    definition: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self, *, name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the Trigger JSON under a name; its own name and parameters go first."""
        definition = dict(self.definition)
        definition["name"] = self.name or name
        if "parameters" not in definition and parameters:
            definition["parameters"] = dict(parameters)
        return definition

    def with_definition(self, **more: Any) -> "EventTrigger":
        """Return a copy with further keys of Trigger JSON."""
        return replace(self, definition={**self.definition, **more})


def event_trigger(
    *expect: str,
    match: Match | None = None,
    match_related: Match | Sequence[Match] | None = None,
    for_each: str | Sequence[str] = (),
    threshold: int = 1,
    parameters: Mapping[str, Any] | None = None,
    name: str | None = None,
    enabled: bool = True,
) -> EventTrigger:
    """Return a trigger on events.

    Args:
        expect: Event names as globs (`order.*`); none means any.
        match: What the resource's labels must be: a glob, or a list of which one must hold. `!` negates;
            `[{"exists": False}]` asks for the label's absence.
        match_related: The same for related resources; of a list, every map needs one resource that fits.
        for_each: Labels that split events into groups, counted apart.
        threshold: How many events of a group it takes; the run gets all of them.
        parameters: What the flow is called with; texts may hold templates (`{{ event.resource.key }}`).
        name: The trigger's identity; the flow's name when unset.
        enabled: A trigger that is not enabled starts nothing and says so.

    """
    definition: dict[str, Any] = {"type": "event", "expect": list(expect)}
    if match:
        definition["match"] = _plain(match)
    if match_related:
        several = [match_related] if isinstance(match_related, Mapping) else match_related
        definition["match_related"] = [_plain(one) for one in several]
    if for_each:
        definition["for_each"] = [for_each] if isinstance(for_each, str) else list(for_each)
    if threshold != 1:
        definition["threshold"] = threshold
    if parameters is not None:
        definition["parameters"] = dict(parameters)
    if not enabled:
        definition["enabled"] = False
    return EventTrigger(name=name, definition=definition)


def object_created(bucket: str, *, key: Values = "*", **more: Any) -> EventTrigger:
    """Return a trigger on new objects or files of a bucket; `more` is as in `event_trigger`."""
    return _object("created", bucket, key, more)


def object_updated(bucket: str, *, key: Values = "*", **more: Any) -> EventTrigger:
    """Return a trigger on overwritten objects or files of a bucket; `more` is as in `event_trigger`."""
    return _object("updated", bucket, key, more)


def object_deleted(bucket: str, *, key: Values = "*", **more: Any) -> EventTrigger:
    """Return a trigger on deleted objects or files of a bucket; `more` is as in `event_trigger`."""
    return _object("deleted", bucket, key, more)


def object_restored(bucket: str, *, key: Values = "*", **more: Any) -> EventTrigger:
    """Return a trigger on objects brought back from an archive; `more` is as in `event_trigger`."""
    return _object("restored", bucket, key, more)


def _object(verb: str, bucket: str, key: Values, more: Mapping[str, Any]) -> EventTrigger:
    given = dict(more)
    match = {"bucket": bucket, "key": key, **given.pop("match", {})}
    return event_trigger(f"storage.object.{verb}", match=match, **given)


def _plain(match: Match) -> dict[str, Any]:
    return {
        label: values if isinstance(values, str) else [v if isinstance(v, str) else dict(v) for v in values]
        for label, values in match.items()
    }
