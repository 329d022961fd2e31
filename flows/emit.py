"""`emit_event`: say that something happened.

In a run the event is the run's: its id follows from the run, the task and the ordinal, so that a resumed run
emits it once, and the call returns once the broker has acknowledged it. Elsewhere it is posted to
ENSUE_API_URL; without that it goes nowhere, which is said once.
"""

import asyncio
import os
import warnings
from collections.abc import Awaitable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flows.context import RunContext, current_frame, current_run
from flows.core import identity
from flows.typed import plain
from schemas.event import ID_LABEL, PREFECT_ID_LABEL, PREFECT_ROLE_LABEL, ROLE_LABEL, Event
from schemas.new_id import new_id

if TYPE_CHECKING:
    from pydantic import BaseModel

API_URL = "ENSUE_API_URL"
NAME_CHARS_MAX = 1024
_warned = False


class UnsentEventWarning(UserWarning):
    """An event was made in plain Python with nowhere to send it."""


def emit_event(
    event: str,
    resource: Mapping[str, str],
    occurred: datetime | None = None,
    related: Sequence[Mapping[str, str]] | None = None,
    payload: "Mapping[str, Any] | BaseModel | None" = None,
    id: str | UUID | None = None,  # noqa: A002 - Prefect's name
    follows: Event | str | None = None,
) -> Event:
    """Return the event once it is acknowledged.

    Args:
        event: Its name, for example `order.created`.
        resource: What it happened to: labels, of which `resource.id` (or `prefect.resource.id`) is its id.
        occurred: When, with a time zone; now when unset.
        related: Other resources, each with `resource.role` and its id.
        payload: A JSON object, or an instance of a pydantic model, which becomes one.
        id: Identity; drawn once before any retry when unset, in a run made from the run.
        follows: The event (or its id) that this one follows.

    Raises:
        ValueError: The event cannot be as given.
        NotEmitted: It was not acknowledged: outside a run within 5 s, in a run within the run's timeout.

    """
    made, run = _made(event, resource, occurred, related, payload, id, follows)
    if run is not None:
        return run.emit(made)
    url = os.environ.get(API_URL, "")
    if not url:
        return _unsent(made)
    from flows import post

    return post.send(url, made)


def emit_event_async(
    event: str,
    resource: Mapping[str, str],
    occurred: datetime | None = None,
    related: Sequence[Mapping[str, str]] | None = None,
    payload: "Mapping[str, Any] | BaseModel | None" = None,
    id: str | UUID | None = None,  # noqa: A002 - Prefect's name
    follows: Event | str | None = None,
) -> Awaitable[Event]:
    """Do what `emit_event` does without blocking the event loop; await the result.

    The event is made, and counted within its run, at the call and not when it is awaited, so that events
    gathered together keep their ids in the next attempt.
    """
    return _send_async(*_made(event, resource, occurred, related, payload, id, follows))


async def _send_async(made: Event, run: RunContext | None) -> Event:
    if run is not None:
        return await asyncio.to_thread(run.emit, made)
    url = os.environ.get(API_URL, "")
    if not url:
        return _unsent(made)
    from flows import post

    return await post.send_async(url, made)


def _made(
    event: str,
    resource: Mapping[str, str],
    occurred: datetime | None,
    related: Sequence[Mapping[str, str]] | None,
    payload: "Mapping[str, Any] | BaseModel | None",
    given_id: str | UUID | None,
    follows: Event | str | None,
) -> tuple[Event, RunContext | None]:
    if not isinstance(event, str) or not 0 < len(event) <= NAME_CHARS_MAX:
        raise ValueError(
            f"an event's name is text of 1 to {NAME_CHARS_MAX} characters; this is {event!r:.80}"
        )
    labels = _labels(resource, f"event {event}: resource")
    resource_id = labels.get(ID_LABEL) or labels.get(PREFECT_ID_LABEL)
    if not resource_id:
        raise ValueError(f'event {event}: resource lacks its id; give it, for example {{"{ID_LABEL}": "…"}}')
    others = [_labels(one, f"event {event}: related[{at}]") for at, one in enumerate(related or ())]
    for at, one in enumerate(others):
        if not (one.get(ROLE_LABEL) or one.get(PREFECT_ROLE_LABEL)):
            raise ValueError(f'event {event}: related[{at}] lacks its role; give it "{ROLE_LABEL}"')
        if not (one.get(ID_LABEL) or one.get(PREFECT_ID_LABEL)):
            raise ValueError(f'event {event}: related[{at}] lacks its id; give it "{ID_LABEL}"')
    try:
        body = plain(payload) if payload is not None else {}
    except ValueError as error:
        raise ValueError(f"event {event}: {error}") from None
    if not isinstance(body, Mapping):
        raise TypeError(f"event {event}: payload is a JSON object; this is {type(payload).__name__}")
    run = current_run()
    ordinal = current_frame().next_emitted() if run is not None else 0
    key = _uuid(given_id, f"event {event}: id")
    if key is None and run is not None:
        key = identity.run_event_id(run.run_id, current_frame().task_key, ordinal, event, resource_id)
    made = Event(
        id=key or new_id(),
        event=event,
        resource_id=resource_id,
        resource=labels,
        occurred=occurred or (run.now() if run else datetime.now(UTC)),
        related=tuple(others),
        payload=dict(body),
        follows=_uuid(follows.id if isinstance(follows, Event) else follows, f"event {event}: follows"),
        causation_id=run.run_id if run else None,
        correlation_id=run.correlation_id if run else "",
        depth=run.depth if run else 0,
    )
    return made, run


def _uuid(given: str | UUID | None, where: str) -> str | None:
    """Return an id in its one form: 36 characters."""
    if given is None:
        return None
    try:
        return str(given if isinstance(given, UUID) else UUID(given))
    except (ValueError, AttributeError, TypeError):
        hint = "derive one from your own key with uuid.uuid5"
        raise ValueError(f"{where} is {given!r:.80}, but ids are UUIDs; {hint}") from None


def _labels(given: Mapping[str, str], where: str) -> dict[str, str]:
    if not isinstance(given, Mapping):
        raise TypeError(f"{where} is a map of labels; this is {type(given).__name__}")
    for label, value in given.items():
        if not isinstance(label, str) or not isinstance(value, str):
            raise TypeError(f"{where}: label {label!r} has {value!r:.80}; labels are text, so write str(…)")
    return dict(given)


def _unsent(made: Event) -> Event:
    global _warned  # noqa: PLW0603 - once per process
    if not _warned:
        _warned = True
        text = (
            f"{made.event} was not sent: this is no run, and {API_URL} is not set. "
            "Set it, for example to http://127.0.0.1:4288, to send events from plain Python"
        )
        warnings.warn(text, UnsentEventWarning, stacklevel=3)
    return made
