"""`@task`: a step of a flow that is not run again once it has finished.

In a run each call has an identity, its name and its ordinal (`load:0`, nested `load:0/clean:1`), so the order
of calls must not depend on chance. A finished call is journaled before the next one starts; a resumed run is
given its result. Results that are not JSON (see `flows.result`) cannot be given back: such a task runs again.
Within a run a caller gets the JSON form of the result (a tuple as a list), in the first attempt too, so that
a resumed run takes the same way. In plain Python a task is its function.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from functools import update_wrapper
from inspect import iscoroutinefunction
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from flows import failure, result
from flows.context import Recalled, RunContext, current_frame, current_run, inside_task
from flows.deadline import deadline
from flows.errors import InvalidDefinition, TaskTimedOut
from flows.retry import Retry

P = ParamSpec("P")
R = TypeVar("R")


class Task(Generic[P, R]):
    """A function that a run journals; made by `@task`."""

    __name__: str

    def __init__(
        self, function: Callable[P, R], *, name: str | None, retry: Retry, timeout_s: float | None
    ) -> None:
        self.function = function
        self.name = name or function.__name__
        self.retry = retry
        self.timeout_s = timeout_s
        faults = []
        if not self.name or any(sign in self.name for sign in "/:"):
            faults.append(("name", "must not be empty and has no / and no :"))
        if timeout_s is not None and not timeout_s > 0:
            faults.append(("timeout_s", "must be more than 0"))
        if faults:
            raise InvalidDefinition(f"task {self.name!r}", faults)
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function: journaled in a run, as it is in plain Python."""
        run = current_run()
        if run is None:
            return self.function(*args, **kwargs)
        key = current_frame().next_task_key(self.name)
        recalled = run.recall(key)
        known = recalled is not None and recalled.result is not None
        if iscoroutinefunction(self.function):
            call = _given(recalled) if known else self._run_async(run, key, args, kwargs)
            return cast("R", call)
        return cast("R", _value(recalled)) if known else self._run(run, key, args, kwargs)

    def __repr__(self) -> str:
        """Return the task's name."""
        return f"<task {self.name}>"

    def _run(self, run: RunContext, key: str, args: Any, kwargs: Any) -> R:
        attempt = 1
        while True:
            run.task_started(task=self.name, task_key=key, attempt=attempt)
            try:
                with inside_task(key), deadline(self.timeout_s, f"task {self.name}"):
                    value = self.function(*args, **kwargs)
            except Exception as error:
                pause_s = self.retry.pause_s(attempt)
                self._finish(run, key, attempt, state=_state(error, pause_s), error=error)
                if pause_s is None:
                    raise
                run.pause(pause_s)
                attempt += 1
            else:
                return cast("R", self._finish(run, key, attempt, state="succeeded", value=value))

    async def _run_async(self, run: RunContext, key: str, args: Any, kwargs: Any) -> Any:
        attempt = 1
        function = cast("Callable[..., Coroutine[Any, Any, Any]]", self.function)
        while True:
            run.task_started(task=self.name, task_key=key, attempt=attempt)
            try:
                with inside_task(key):
                    value = await self._within_limit(function(*args, **kwargs))
            except Exception as error:
                pause_s = self.retry.pause_s(attempt)
                state = _state(error, pause_s)
                await asyncio.to_thread(self._finish, run, key, attempt, state=state, error=error)
                if pause_s is None:
                    raise
                await asyncio.to_thread(run.pause, pause_s)
                attempt += 1
            else:
                return await asyncio.to_thread(
                    self._finish, run, key, attempt, state="succeeded", value=value
                )

    async def _within_limit(self, call: Coroutine[Any, Any, Any]) -> Any:
        limit = asyncio.timeout(self.timeout_s)
        try:
            async with limit:
                return await call
        except TimeoutError:
            if not limit.expired():
                raise
            text = f"task {self.name} took longer than {self.timeout_s:g} s and was stopped"
            raise TaskTimedOut(text) from None

    def _finish(
        self,
        run: RunContext,
        key: str,
        attempt: int,
        *,
        state: str,
        value: Any = None,
        error: Exception | None = None,
    ) -> Any:
        """Journal an attempt's end; return the value as a resumed run will see it."""
        text = result.as_json(value) if error is None else None
        run.task_finished(
            task=self.name,
            task_key=key,
            attempt=attempt,
            state=state,
            result=text,
            error=failure.as_json(error) if error is not None else None,
        )
        return value if text is None else json.loads(text)


def _state(error: Exception, pause_s: float | None) -> str:
    if pause_s is not None:
        return "retrying"
    return "timed_out" if isinstance(error, TaskTimedOut) else "failed"


def _value(recalled: Recalled | None) -> Any:
    return json.loads(recalled.result) if recalled and recalled.result is not None else None


async def _given(recalled: Recalled | None) -> Any:
    return _value(recalled)


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(
    *,
    name: str | None = None,
    retries: int = 0,
    retry_delay_s: float = 0.0,
    retry_backoff: float = 2.0,
    timeout_s: float | None = None,
) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def task(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    retries: int = 0,
    retry_delay_s: float = 0.0,
    retry_backoff: float = 2.0,
    timeout_s: float | None = None,
) -> Task[P, R] | Callable[[Callable[P, R]], Task[P, R]]:
    """Make a function, sync or async, a task.

    Args:
        function: The function, when the decorator stands bare.
        name: Its name in the journal; the function's name when unset.
        retries: Further attempts within a run after it raised.
        retry_delay_s: First pause; each next one is `retry_backoff` times as long, without jitter.
        retry_backoff: Growth of the pause.
        timeout_s: Limit of one attempt within a run.

    Raises:
        InvalidDefinition: A name or number cannot be meant.

    """
    retry = Retry(retries=retries, delay_s=retry_delay_s, backoff=retry_backoff)

    def made(wrapped: Callable[P, R]) -> Task[P, R]:
        return Task(wrapped, name=name, retry=retry, timeout_s=timeout_s)

    return made if function is None else made(function)
