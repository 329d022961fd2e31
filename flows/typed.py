"""Typed events of a flow: `event: Event[OrderPaid]`, where OrderPaid is a pydantic model.

Nothing here loads pydantic unless a flow is typed: its author has loaded it then.
"""

import typing
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from schemas.event import Event

if TYPE_CHECKING:
    from pydantic import BaseModel

_OPEN = {Any, dict, Mapping}


class UnfitHint(ValueError):
    """An annotation `Event[…]` that cannot be meant; the text says why."""


def model_of(hint: Any) -> "type[BaseModel] | None":
    """Return the model of an annotation's events, None when their payload is open; raises UnfitHint."""
    found = list(_payloads(hint))
    if not found or all(typing.get_origin(one) in _OPEN or one in _OPEN for one in found):
        return None
    if len(found) > 1:
        raise UnfitHint("takes events of several payloads; give it one model")
    from pydantic import BaseModel

    if isinstance(found[0], type) and issubclass(found[0], BaseModel):
        return found[0]
    shown = getattr(found[0], "__name__", found[0])
    raise UnfitHint(f"is Event[{shown}]; write Event[Model] with a pydantic model, or Event alone")


def is_event(hint: Any) -> bool:
    """Whether an annotation is `Event` or `Event[…]`."""
    return hint is Event or typing.get_origin(hint) is Event


def _payloads(hint: Any) -> Iterable[Any]:
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is Event:
        yield from arguments
        return
    for one in arguments:
        yield from _payloads(one)


def typed(event: Event[Any], model: "type[BaseModel]") -> "Event[BaseModel]":
    """Return an event with its payload as an instance; one that has it already is returned as it is.

    Of an event that came as a CloudEvent the data becomes the instance.

    Raises ValueError naming the event, the field and why.
    """
    if isinstance(event.payload, model):
        return event
    from schemas.carried_payload import typed_part
    from schemas.misfit import Misfit
    from schemas.model_payload import instance_of

    inside, part = typed_part(event.resource, event.payload)
    try:
        return replace(event, payload=instance_of(model, plain(part)))
    except Misfit as misfit:
        where = ".".join(name for name in ("payload", inside, misfit.path) if name)
        what = f"event {event.event} (id {event.id}) is no {model.__name__}"
        raise ValueError(f"{what}: {where} {misfit.reason}") from None


def plain(payload: Any) -> Any:
    """Return a payload as JSON: an instance of a model becomes its object; raises ValueError or TypeError."""
    if type(payload) is dict or not hasattr(type(payload), "model_fields"):
        return payload
    from schemas.misfit import Misfit
    from schemas.model_payload import payload_of

    try:
        return payload_of(payload)
    except Misfit as misfit:
        raise ValueError(f"payload.{misfit.path} {misfit.reason}") from None


def schemas_of(
    models: "Mapping[str, type[BaseModel]]", triggers: Iterable[Mapping[str, Any]]
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Return event name → schema text for a flow's typed arguments and triggers, and what is wrong.

    Args:
        models: Argument → its model.
        triggers: Trigger JSON of all that starts the flow.

    """
    from schemas.event_type import UnfitName, check_name
    from schemas.model_schema import UnfitModel, schema_text

    if len(set(models.values())) > 1:
        return {}, [(name, "has another model than an argument before it") for name in list(models)[1:]]
    argument, model = next(iter(models.items()))
    try:
        text = schema_text(model)
    except UnfitModel as error:
        return {}, [(argument, str(error))]
    found: dict[str, str] = {}
    faults = []
    for trigger in triggers:
        for name in trigger.get("expect") or [""]:
            try:
                check_name(name)
            except UnfitName as error:
                hint = "a typed flow's triggers name their events, because the schema belongs to the name"
                faults.append(("expect", f"{error}; {hint}" if name else hint))
            else:
                found[name] = text
    return found, faults
