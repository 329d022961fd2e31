"""What a flow's function takes: parameters from templates or a caller, and the events it was started by."""

import collections.abc
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flows import result
from flows.errors import InvalidDefinition
from flows.typed import UnfitHint, is_event, model_of, typed
from schemas.event import Event

if typing.TYPE_CHECKING:
    from pydantic import BaseModel

_ONE = {"Event", "flows.Event", "Event | None", "Optional[Event]"}
_ALL = {"list[Event]", "list[flows.Event]", "Sequence[Event]", "tuple[Event, ...]"}
_TYPED = "Event["


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One argument of a flow."""

    name: str
    annotation: str  # as text, empty when there is none
    required: bool
    default: str | None = None  # JSON text, None when there is none or it is not JSON
    takes: str = "value"  # value, event (the one that completed the firing) or events (all of them)
    model: "type[BaseModel] | None" = None  # of the payloads of what it takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The arguments of a flow's function."""

    flow: str
    parameters: tuple[Parameter, ...]
    open_ended: bool  # it takes **kwargs

    def faults(self, given: Mapping[str, Any], *, where: str) -> list[tuple[str, str]]:
        """Return what is wrong with calling the flow with these parameters."""
        values = {p.name: p for p in self.parameters if p.takes == "value"}
        faults = [
            (where, f"the flow {self.flow} has no argument {name!r}; it has {', '.join(values) or 'none'}")
            for name in given
            if name not in values and not self.open_ended
        ]
        missing = [p.name for p in values.values() if p.required and p.name not in given]
        faults += [
            (where, f'the flow {self.flow} needs {name!r}: give it, for example {{"{name}": …}}')
            for name in missing
        ]
        return faults

    def bind(self, given: Mapping[str, Any], events: Sequence[Event]) -> dict[str, Any]:
        """Return the keyword arguments of a run; raises InvalidDefinition."""
        faults = self.faults(given, where="parameters")
        arguments = dict(given)
        for parameter in self.parameters:
            if parameter.takes == "events" and (events or parameter.required):
                arguments[parameter.name] = _typed(parameter, list(events))
            elif parameter.takes == "event" and events:
                arguments[parameter.name] = _typed(parameter, events[-1])
            elif parameter.takes == "event" and parameter.required:
                faults.append(
                    (parameter.name, "takes the event that started the run, but none did: give a default")
                )
        if faults:
            raise InvalidDefinition(f"flow {self.flow}", faults)
        return arguments

    @property
    def models(self) -> "dict[str, type[BaseModel]]":
        """The models of typed events, by argument."""
        return {p.name: p.model for p in self.parameters if p.model is not None}

    def with_models(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of a direct call with the payloads of typed events as instances."""
        by_name = {p.name: p for p in self.parameters}
        named = zip(self.parameters, args, strict=False)
        return (
            (*(_typed(parameter, value) for parameter, value in named), *args[len(self.parameters) :]),
            {key: _typed(by_name[key], value) if key in by_name else value for key, value in kwargs.items()},
        )

    def as_json(self) -> dict[str, Any]:
        """Return the parameters as they stand in a flow definition."""
        return {
            p.name: {
                "annotation": p.annotation,
                "required": p.required,
                "default": p.default,
                "takes": p.takes,
            }
            for p in self.parameters
        }


def of(function: Callable[..., Any], flow: str) -> Signature:
    """Return the signature of a flow's function; raises InvalidDefinition for positional arguments."""
    try:
        hints = typing.get_type_hints(function)
    except Exception:
        hints = {}  # a name known to the type checker only; the text of the annotation decides below
    found = []
    open_ended = False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            open_ended = True
            continue
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY}:
            fault = "is given by position; a run gives its arguments by name"
            raise InvalidDefinition(f"flow {flow}", [(parameter.name, fault)])
        required = parameter.default is parameter.empty
        annotation = "" if parameter.annotation is parameter.empty else parameter.annotation
        hint = hints.get(parameter.name, annotation)
        try:
            model = _model(hint)
        except UnfitHint as error:
            raise InvalidDefinition(f"flow {flow}", [(parameter.name, str(error))]) from None
        found.append(
            Parameter(
                name=parameter.name,
                annotation=annotation
                if isinstance(annotation, str)
                else inspect.formatannotation(annotation),
                required=required,
                default=None if required else result.as_json(parameter.default),
                takes=_takes(hint),
                model=model,
            )
        )
    return Signature(flow=flow, parameters=tuple(found), open_ended=open_ended)


def _takes(hint: Any) -> str:
    if isinstance(hint, str):
        return "event" if hint in _ONE else "events" if hint in _ALL else "value"
    if is_event(hint):
        return "event"
    origin = typing.get_origin(hint)
    some = any(is_event(one) for one in typing.get_args(hint))
    if origin in {typing.Union, types.UnionType} and some:
        return "event"
    if origin in {list, tuple, collections.abc.Sequence} and some:
        return "events"
    return "value"


def _model(hint: Any) -> "type[BaseModel] | None":
    if not isinstance(hint, str):
        return model_of(hint)
    if _TYPED in hint:
        raise UnfitHint(f"is {hint}, which cannot be looked up: define the model at the top of the file")
    return None


def _typed(parameter: Parameter, value: Any) -> Any:
    """Return what a typed argument is given; anything but events is left alone."""
    if parameter.model is None:
        return value
    if isinstance(value, Event):
        return typed(value, parameter.model)
    if isinstance(value, list):
        return [typed(one, parameter.model) if isinstance(one, Event) else one for one in value]
    return value
