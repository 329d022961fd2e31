"""Posting an event to the gateway from plain Python, within 5 s or not at all."""

import asyncio
import threading
from datetime import UTC
from typing import Any
from urllib.parse import urlsplit

import httpx

from flows.errors import NotEmitted
from schemas.event import Event

WITHIN_S = 4.8
_SLACK_S = 0.15  # to close the connection; all in all less than 5 s
_PAUSE_S = 0.2
_TRY_AGAIN = frozenset({429, 502, 503, 504})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def as_json(event: Event) -> dict[str, Any]:
    """Return an event as `POST /events` takes it."""
    body: dict[str, Any] = {
        "id": event.id,
        "event": event.event,
        "occurred": event.occurred.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "resource": dict(event.resource),
    }
    if event.related:
        body["related"] = [dict(labels) for labels in event.related]
    if event.payload:
        body["payload"] = dict(event.payload)
    if event.follows:
        body["follows"] = event.follows
    return body


def send(api_url: str, event: Event) -> Event:
    """Return the event once the gateway has answered 2xx; raises NotEmitted.

    It works in a thread of its own, because the caller may already be inside an event loop, and because a
    name lookup can be waited for but not stopped.
    """
    outcome: list[Event | BaseException] = []

    def work() -> None:
        try:
            outcome.append(asyncio.run(send_async(api_url, event)))
        except BaseException as error:
            outcome.append(error)

    worker = threading.Thread(target=work, name="ensue-emit", daemon=True)
    worker.start()
    worker.join(WITHIN_S + _SLACK_S)
    found = outcome[0] if outcome else _late(api_url, event, "")
    if isinstance(found, BaseException):
        raise found
    return found


async def send_async(api_url: str, event: Event) -> Event:
    """Return the event once the gateway has answered 2xx, trying again for 5 s; raises NotEmitted."""
    problem = ""
    url = f"{api_url.rstrip('/')}/events"
    try:
        async with (
            asyncio.timeout(WITHIN_S),
            # A proxy of the environment is for the world outside.
            httpx.AsyncClient(timeout=WITHIN_S, trust_env=urlsplit(url).hostname not in _LOOPBACK) as client,
        ):
            while True:
                try:
                    answer = await client.post(url, json=as_json(event))
                except httpx.TransportError as error:
                    problem = f"{type(error).__name__}: {error}".rstrip(": ")
                else:
                    if answer.is_success:
                        return event
                    problem = f"status {answer.status_code}: {answer.text[:500]}"
                    if answer.status_code not in _TRY_AGAIN:
                        raise NotEmitted(f"event {event.event} ({event.id}) was refused by {url}: {problem}")
                await asyncio.sleep(_PAUSE_S)
    except (TimeoutError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise _late(api_url, event, problem or str(error)) from None


def _late(api_url: str, event: Event, problem: str) -> NotEmitted:
    return NotEmitted(
        f"event {event.event} ({event.id}) was not acknowledged by {api_url} within 5 s"
        f"{f' ({problem})' if problem else ''}; see that the gateway runs (`ensue status`), then emit it "
        f'again with id="{event.id}", so that it counts once'
    )
