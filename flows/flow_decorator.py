"""`@flow`: a function that runs because something happened.

A direct call in plain Python is a call of the function. What starts runs of it, how often a failed one is
tried again and how long one may take is data beside it (`Flow.definition`), which a deployment publishes.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import update_wrapper
from inspect import iscoroutinefunction
from typing import Any, Generic, ParamSpec, TypeVar, overload

from flows import signature, typed
from flows.errors import InvalidDefinition
from flows.retry import Retry
from flows.triggers import EventTrigger

P = ParamSpec("P")
R = TypeVar("R")
_NAME_CHARS_MAX = 200


class Flow(Generic[P, R]):
    """A function that a deployment publishes; made by `@flow`.

    Attributes:
        name: Its identity.
        function: The user's function.
        is_async: Whether it is a coroutine function.
        signature: What it takes.
        retry: How a failed run is tried again.
        timeout_s: Limit of one attempt; None means the worker's setting.
        pool: Which workers run it.

    """

    __name__: str

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None,
        on: EventTrigger | Sequence[EventTrigger],
        parameters: Mapping[str, Any] | None,
        retry: Retry,
        timeout_s: float | None,
        pool: str,
    ) -> None:
        self.function = function
        self.name = name or function.__name__
        self.is_async = iscoroutinefunction(function)
        self.signature = signature.of(function, self.name)
        self.retry = retry
        self.timeout_s = timeout_s
        self.pool = pool
        self._on = (on,) if isinstance(on, EventTrigger) else tuple(on)
        self._parameters = dict(parameters or {})
        self._event_schemas: dict[str, str] = {}
        self._check()
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, as it is; payloads of typed events become instances first."""
        if self.signature.models:
            made, named = self.signature.with_models(args, kwargs)
            return self.function(*made, **named)
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        """Return the flow's name."""
        return f"<flow {self.name}>"

    def triggers(self) -> list[dict[str, Any]]:
        """Return the Trigger JSON of everything that starts this flow.

        A trigger without a name is called as its flow; further ones `NAME-2`, `NAME-3`, in their order.
        """
        return [
            one.as_json(name=self.name if at == 1 else f"{self.name}-{at}", parameters=self._parameters)
            for at, one in enumerate(self._on, 1)
        ]

    def event_schemas(self) -> dict[str, str]:
        """Return event name → Avro schema (JSON text) of what typed arguments expect; checked at import."""
        return self._event_schemas

    def definition(self, file: str) -> dict[str, Any]:
        """Return the flow as JSON, for a deployment; `file` is the path of its file."""
        return {
            "name": self.name,
            "file": file,
            "parameters": self.signature.as_json(),
            "timeout_s": self.timeout_s,
            **self.retry.as_json(),
            "pool": self.pool,
        }

    def _check(self) -> None:
        """Find at import what would otherwise fail at the first event."""
        faults: list[tuple[str, str]] = []
        if not self.name or len(self.name) > _NAME_CHARS_MAX or "\x1f" in self.name:
            faults.append(("name", f"must be 1 to {_NAME_CHARS_MAX} characters"))
        if self.timeout_s is not None and not self.timeout_s > 0:
            faults.append(("timeout_s", "must be more than 0"))
        if self._parameters and not self._on:
            faults.append(("parameters", "are what a trigger calls the flow with, but `on` is not given"))
        if faults:
            raise InvalidDefinition(f"flow {self.name!r}", faults)
        if not self._on:
            return
        from flows import definition  # late: a flow without triggers needs no pydantic

        names = set()
        for trigger in self.triggers():
            checked = definition.parse(trigger, flow=self.name)
            faults += self.signature.faults(checked.parameters, where=f"parameters of {checked.name}")
            if checked.name in names:
                faults.append(("on", f"two triggers are named {checked.name}"))
            names.add(checked.name)
        if self.signature.models:
            self._event_schemas, more = typed.schemas_of(self.signature.models, self.triggers())
            faults += more
        if faults:
            raise InvalidDefinition(f"flow {self.name!r}", faults)


@overload
def flow(function: Callable[P, R], /) -> Flow[P, R]: ...


@overload
def flow(
    *,
    name: str | None = None,
    on: EventTrigger | Sequence[EventTrigger] = (),
    parameters: Mapping[str, Any] | None = None,
    retries: int = 0,
    retry_delay_s: float = 0.0,
    retry_backoff: float = 2.0,
    timeout_s: float | None = None,
    pool: str = "default",
) -> Callable[[Callable[P, R]], Flow[P, R]]: ...


def flow(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    on: EventTrigger | Sequence[EventTrigger] = (),
    parameters: Mapping[str, Any] | None = None,
    retries: int = 0,
    retry_delay_s: float = 0.0,
    retry_backoff: float = 2.0,
    timeout_s: float | None = None,
    pool: str = "default",
) -> Flow[P, R] | Callable[[Callable[P, R]], Flow[P, R]]:
    """Make a function, sync or async, a flow.

    An argument annotated `Event` is given the event that started the run, one annotated `list[Event]` all of
    them (a threshold has several). With a pydantic model, `Event[OrderPaid]`, the payload is an instance of
    it, and a deployment registers its schema for the names of the triggers' events.

    Args:
        function: The function, when the decorator stands bare.
        name: The flow's identity; the function's name when unset.
        on: What starts it: a trigger or several.
        parameters: What triggers call it with, unless they say so themselves; texts may hold templates.
        retries: Further attempts after a run failed or timed out; finished tasks are not run again.
        retry_delay_s: First pause; each next one is `retry_backoff` times as long, without jitter.
        retry_backoff: Growth of the pause.
        timeout_s: Limit of one attempt; the worker's setting when unset.
        pool: Which workers run it.

    Raises:
        InvalidDefinition: A trigger, parameter or number cannot be meant; the text has the path.

    """
    retry = Retry(retries=retries, delay_s=retry_delay_s, backoff=retry_backoff)

    def made(wrapped: Callable[P, R]) -> Flow[P, R]:
        return Flow(
            wrapped, name=name, on=on, parameters=parameters, retry=retry, timeout_s=timeout_s, pool=pool
        )

    return made if function is None else made(function)
