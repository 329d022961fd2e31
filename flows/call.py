"""Calling a flow as a run does: arguments by name, events where asked for, coroutines to their end."""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from flows.flow_decorator import Flow
from schemas.event import Event


def call(flow: Flow[..., Any], parameters: Mapping[str, Any], events: Sequence[Event]) -> Any:
    """Return what the flow returns; raises what it raises, InvalidDefinition for unfit arguments."""
    arguments = flow.signature.bind(parameters, events)
    if not flow.is_async:
        return flow.function(**arguments)
    function: Callable[..., Coroutine[Any, Any, Any]] = flow.function
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(function(**arguments))
    return _in_thread(lambda: asyncio.run(function(**arguments)))


def _in_thread(work: Callable[[], Any]) -> Any:
    """Run work that needs an event loop of its own while the caller's is running (an async test)."""
    outcome: list[tuple[Any, BaseException | None]] = []
    context = contextvars.copy_context()

    def run() -> None:
        try:
            outcome.append((context.run(work), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=run, name="ensue-flow")
    thread.start()
    thread.join()
    value, error = outcome[0]
    if error is not None:
        raise error
    return value
