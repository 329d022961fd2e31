"""`ensue check-request`: what the gateway would make of this request."""

import asyncio
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from streams.cli.options import JsonOption
from streams.cli.output import print_json
from streams.errors import BadInput


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check-request")(check_request)


def check_request(
    file: Annotated[Path, typer.Argument(help="JSON list of captured requests; - reads standard input.")],
    source: Annotated[str, typer.Option("--source", help="Kind of the source, for example github.")],
    now: Annotated[float | None, typer.Option("--now", help="The receiver's clock, Unix seconds.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Send captured requests through the gateway's own code; nothing is written and nobody is called.

    A request is {"name", "method", "path"?, "query"?, "headers", "body" | "body_b64", "secret"?,
    "timestamp"?}.

    Example: ensue check-request hooks.json --source github --json
    """
    from streams.wiring.check_request import KIND_NAMES, captured, check

    if source not in KIND_NAMES:
        raise BadInput(f"there is no kind {source!r}; these are known: {', '.join(KIND_NAMES)}")
    requests = captured(_text(file))
    now_s = time.time() if now is None else now

    async def all_of_them() -> list[dict[str, Any]]:
        return [await check(request, source, now_s=now_s) for request in requests]

    told = asyncio.run(all_of_them())
    if as_json:
        print_json(told)
        return
    for at, answer in enumerate(told):
        what = ", ".join(event["event"] for event in answer["events"]) or "no event"
        problem = answer["problem"] or {}
        print(f"{answer['name'] or at}: {answer['status']} {what} {problem.get('detail', '')}".rstrip())


def _text(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{file} is not UTF-8 text") from None
