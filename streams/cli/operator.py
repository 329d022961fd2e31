"""Asking the gateway for what only the owner of its data folder may do."""

import getpass
import socket
from collections.abc import Mapping
from typing import Any

import typer

from streams.cli.context import api_url
from streams.cli.emit import problem_text
from streams.cli.output import NOTHING_FOUND
from streams.errors import BadInput, EnsueError
from streams.settings import Settings

TIMEOUT_S = 30.0
_NOT_FOUND, _FOLLY, _OURS = 404, 400, 500


def ask_gateway(settings: Settings, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """POST `body` (GET without one) to /internal/PATH and return the answer.

    Raises BadInput for what the gateway refuses, EnsueError when it does not answer; exit 3 for what is
    not there.
    """
    import httpx

    from streams.local.operator_secret import read_operator_secret

    url = f"{api_url(settings)}/internal/{path}"
    headers = {"authorization": f"Bearer {read_operator_secret(settings.data)}"}
    method = "GET" if body is None else "POST"
    try:
        answer = httpx.request(method, url, json=body, headers=headers, timeout=TIMEOUT_S)
    except httpx.HTTPError as error:
        raise EnsueError(f"the gateway at {url} does not answer ({error}); see `ensue status`") from error
    if answer.status_code == _NOT_FOUND:
        typer.echo(f"ensue: {problem_text(answer.text, answer.status_code)}", err=True)
        raise typer.Exit(NOTHING_FOUND)
    if answer.status_code >= _FOLLY:
        kind = BadInput if answer.status_code < _OURS else EnsueError
        raise kind(problem_text(answer.text, answer.status_code))
    found: dict[str, Any] = answer.json()
    return found


def who() -> str:
    """Return who this is, for the audit: user@machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
