"""`ensue emit`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from streams.cli.context import api_url, load_settings
from streams.cli.options import DataOption, JsonOption, parse_time
from streams.cli.output import print_json
from streams.errors import BadInput, EnsueError

TIMEOUT_S = 10.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("emit")(emit)


def emit(
    name: Annotated[str, typer.Argument(help="Event name, for example order.paid.")],
    resource: Annotated[str, typer.Option("--resource", help="Id of what it happened to.", metavar="ID")],
    payload: Annotated[
        str, typer.Option("--payload", help="JSON object, or @FILE, or @- for standard input.")
    ] = "{}",
    label: Annotated[
        list[str] | None, typer.Option("--label", help="Further label NAME=VALUE; repeatable.")
    ] = None,
    occurred: Annotated[
        str | None, typer.Option("--occurred", help="When: 2026-11-22T14:00 (UTC), or 5m for so long ago.")
    ] = None,
    event_id: Annotated[
        str | None, typer.Option("--id", help="UUID; the same id again does nothing.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send one event and print its id once the broker has acknowledged it.

    \b
    ensue emit order.paid --resource order.17 --payload '{"amount": 12.5}'
    ensue emit report.due --resource report.daily --label team=finance --payload @due.json
    """  # noqa: D301 - \b keeps typer from joining the example's lines
    import httpx

    further = labels(label or [])
    if {"resource.id", "prefect.resource.id"} & further.keys():
        raise BadInput("--label cannot set the resource's id; --resource does")
    body: dict[str, Any] = {"event": name, "resource": {"resource.id": resource, **further}}
    body["payload"] = read_payload(payload)
    at = parse_time(occurred)
    if at is not None:
        body["occurred"] = at.isoformat()
    if event_id:
        body["id"] = event_id
    url = f"{api_url(load_settings(data))}/events"
    try:
        answer = httpx.post(url, json=body, timeout=TIMEOUT_S)
    except httpx.HTTPError as error:
        raise EnsueError(f"the gateway at {url} does not answer ({error}); see `ensue status`") from error
    if answer.status_code >= 400:
        raise (BadInput if answer.status_code < 500 else EnsueError)(
            problem_text(answer.text, answer.status_code)
        )
    ids = answer.json()["ids"]
    if as_json:
        print_json({"ids": ids})
    else:
        print(ids[0])


def labels(pairs: list[str]) -> dict[str, str]:
    """Return NAME=VALUE pairs as labels."""
    found = dict(pair.partition("=")[::2] for pair in pairs if "=" in pair)
    for pair in pairs:
        if "=" not in pair:
            raise BadInput(f"--label {pair!r}: write NAME=VALUE")
    return found


def read_payload(text: str) -> dict[str, Any]:
    """Return the payload given as JSON text, @FILE or @-."""
    if text.startswith("@"):
        try:
            text = sys.stdin.read() if text == "@-" else Path(text[1:]).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"--payload {text}: {error}") from error
    try:
        value = json.loads(text)
    except ValueError as error:
        raise BadInput(f"--payload is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadInput(f"--payload must be a JSON object, not {type(value).__name__}")
    return value


def problem_text(text: str, status: int) -> str:
    """Return the sentence of a problem JSON, or the text itself."""
    try:
        problem = json.loads(text)
        errors = "; ".join(f"{e.get('field')}: {e.get('reason')}" for e in problem.get("errors", []))
        return f"{problem['title']}: {problem.get('detail', '')}{' (' + errors + ')' if errors else ''}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"the gateway answered {status}: {text[:200]}"
