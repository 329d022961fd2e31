"""Trigger JSON, the one canonical form of a trigger: read with exact error paths, written canonically.

The keys are Prefect's. Those not supported yet are refused by name: a key that is silently ignored
would make a trigger fire on what its author excluded.
"""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from hashlib import blake2b
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StrictBool,
    StrictInt,
    ValidationError,
)
from pydantic_core import ErrorDetails

from flows import template
from flows.core.predicate import Condition, Exists, LabelMap, LabelMatch, Pattern
from flows.core.trigger import THRESHOLD_MAX, Trigger
from flows.errors import InvalidDefinition, TemplateError
from schemas import record

NAME_CHARS_MAX = 200
NOT_YET = frozenset(
    {
        *(
            "require",
            "triggers",
            "where",
            "filter",
            "order",
            "window",
            "allowed_lateness",
            "keep",
            "keep_for",
        ),
        *("debounce", "batch", "rate_limit", "throttle", "idempotency", "concurrency", "priority", "delay"),
        "cancel_on",
    }
)


def _condition(value: Any) -> Condition:
    if isinstance(value, str):
        return Pattern(value)
    if isinstance(value, dict) and value.keys() == {"exists"} and isinstance(value["exists"], bool):
        return Exists(value["exists"])
    raise ValueError('must be text (a glob, "!" negates) or {"exists": true} or {"exists": false}')


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _filled(value: Any) -> Any:
    if not isinstance(value, str) or not value:
        raise ValueError("must be text and not empty")
    return value


def _empty(value: Any) -> Any:
    if value:
        raise ValueError("is not supported yet; leave it out")
    return value


def _reactive(value: Any) -> Any:
    if value == "Proactive":
        raise ValueError('"Proactive" is not supported yet; leave posture out or say "Reactive"')
    if value != "Reactive":
        raise ValueError('must be "Reactive"')
    return value


def _event_type(value: Any) -> Any:
    if value in {"compound", "sequence"}:
        raise ValueError(f'"{value}" is not supported yet; only "event" is')
    if value != "event":
        raise ValueError('must be "event"')
    return value


_Text = Annotated[str, PlainValidator(_filled)]
_Conditions = Annotated[list[Annotated[Condition, PlainValidator(_condition)]], BeforeValidator(_as_list)]
_LabelMap = dict[_Text, _Conditions]


class TriggerDefinition(BaseModel):
    """Trigger JSON as far as it is supported."""

    model_config = ConfigDict(extra="forbid")

    type: Annotated[Literal["event"], PlainValidator(_event_type)] = "event"
    name: _Text | None = None
    description: str | None = None
    enabled: StrictBool = True
    match: _LabelMap = Field(default_factory=dict)
    match_related: Annotated[list[_LabelMap], BeforeValidator(_as_list)] = Field(default_factory=list)
    expect: list[_Text] = Field(default_factory=list)
    after: Annotated[list[str], PlainValidator(_empty)] = Field(default_factory=list)
    for_each: list[_Text] = Field(default_factory=list)
    posture: Annotated[Literal["Reactive"], PlainValidator(_reactive)] = "Reactive"
    threshold: StrictInt = Field(1, ge=1, le=THRESHOLD_MAX)
    within: Annotated[float, PlainValidator(_empty)] = 0
    parameters: dict[str, Any] = Field(default_factory=dict)


def parse(
    definition: Any,
    *,
    flow: str,
    name: str = "",
    version: str = "",
    flow_version: str = "",
    pool: str = "default",
) -> Trigger:
    """Return the trigger of a JSON object (already parsed).

    Args:
        definition: Trigger JSON.
        flow: The flow it starts.
        name: Its name where the definition gives none.
        version: Of the definition; computed when empty.
        flow_version: Of the flow's file.
        pool: Of the flow.

    Raises:
        InvalidDefinition: With the path of every fault.

    """
    what = f"trigger {name or (definition.get('name') if isinstance(definition, dict) else '') or '?'}"
    try:
        given = TriggerDefinition.model_validate(definition)
    except ValidationError as error:
        raise InvalidDefinition(what, [_problem(e) for e in error.errors()]) from None
    called = given.name or name
    if not called:
        raise InvalidDefinition(what, [("name", "is missing; a trigger's name is its identity")])
    if len(called) > NAME_CHARS_MAX or not called.isprintable():
        # A name is part of Kafka keys, where a control character separates it from the group.
        fault = f"must be at most {NAME_CHARS_MAX} characters, all of them printable"
        raise InvalidDefinition(what, [("name", fault)])
    try:
        template.check(given.parameters)
    except TemplateError as error:
        raise InvalidDefinition(what, [("parameters", str(error))]) from None
    return Trigger(
        name=called,
        flow=flow,
        flow_version=flow_version,
        pool=pool,
        expect=tuple(Pattern(text) for text in dict.fromkeys(given.expect)),
        match=_label_map(given.match),
        match_related=tuple(_label_map(one) for one in given.match_related),
        for_each=tuple(sorted(set(given.for_each))),
        threshold=given.threshold,
        parameters=given.parameters,
        enabled=given.enabled,
        version=version or version_of(definition),
    )


def emit(trigger: Trigger) -> dict[str, Any]:
    """Return a trigger as canonical Trigger JSON; `parse` of it gives the trigger again."""
    out: dict[str, Any] = {"type": "event", "name": trigger.name, "posture": trigger.posture}
    out["expect"] = [pattern.text for pattern in trigger.expect]
    out["match"] = _plain_map(trigger.match)
    out["match_related"] = [_plain_map(one) for one in trigger.match_related]
    out["for_each"] = list(trigger.for_each)
    out["threshold"] = trigger.threshold
    out["parameters"] = dict(trigger.parameters)
    if not trigger.enabled:
        out["enabled"] = False
    return out


def version_of(definition: Mapping[str, Any]) -> str:
    """Return the version of a definition: 16 hex digits of a hash over its JSON, whatever the key order."""
    text = json.dumps(definition, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return blake2b(text.encode(), digest_size=8).hexdigest()


def from_record(item: record.Trigger) -> Trigger:
    """Return the trigger of a record of the `triggers` topic; raises InvalidDefinition."""
    try:
        definition = json.loads(item.definition)
        flow = json.loads(item.flow_definition) if item.flow_definition else {}
    except ValueError as error:
        raise InvalidDefinition(f"trigger {item.name}", [("", f"its record is not JSON: {error}")]) from None
    return parse(
        definition,
        name=item.name,
        flow=item.flow,
        version=item.version,
        flow_version=item.flow_version,
        pool=flow.get("pool") or "default",
    )


def _label_map(given: Mapping[str, list[Condition]]) -> LabelMap:
    return tuple(LabelMatch(label, tuple(conditions)) for label, conditions in given.items())


def _plain_map(wanted: LabelMap) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for one in wanted:
        values = [c.text if isinstance(c, Pattern) else {"exists": c.wanted} for c in one.any_of]
        out[one.label] = values[0] if len(values) == 1 and isinstance(values[0], str) else values
    return out


def _problem(error: ErrorDetails) -> tuple[str, str]:
    path = ""
    for part in error["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f"{'.' if path else ''}{part}"
    if error["type"] == "extra_forbidden":
        if path in NOT_YET:
            return path, "is not supported yet; leave it out"
        near = get_close_matches(path, [*TriggerDefinition.model_fields, *NOT_YET], 1)
        return path, "is no key of a trigger" + (f"; did you mean {near[0]}?" if near else "")
    return path, error["msg"].removeprefix("Value error, ")
