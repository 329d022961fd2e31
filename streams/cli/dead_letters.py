"""`ensue dead-letters`: what could not be used, kept whole, and what to do with it."""

import base64
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from schemas.dead_letter import Reason, Stage
from streams.cli.context import load_settings, need
from streams.cli.options import DataOption, JsonOption, LimitOption, SinceOption, UntilOption, parse_time
from streams.cli.output import NOTHING_FOUND, print_json, show
from streams.errors import BadInput, EnsueError
from streams.settings import Settings

STATES = ("open", "retried", "dropped")
COLUMNS = ("at", "source", "stage", "reason", "state", "bytes", "id")
IdArgument = Annotated[str, typer.Argument(help="Id of the dead letter, or its start.", metavar="ID")]

group = typer.Typer(
    no_args_is_help=True,
    help="""List, show, edit, retry and drop what could not be used.

    \b
    ensue dead-letters list --source shop --state open
    ensue dead-letters show ID
    ensue dead-letters edit ID && ensue dead-letters retry ID
    """,
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="dead-letters")


@group.command("list")
def list_(
    source: Annotated[str, typer.Option("--source", help="Name of the source, or the topic.")] = "",
    stage: Annotated[str, typer.Option("--stage", help="Who could not use it: door, sink, …")] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why: malformed_json, unknown_format, …")] = "",
    state: Annotated[str, typer.Option("--state", help="open, retried or dropped; all when unset.")] = "",
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """List dead letters, newest first.

    Example: ensue dead-letters list --state open --since 1d
    """
    from streams.store.queries.dead_letters import LetterFilter, list_dead_letters
    from streams.store.queries.reader import StoreReader

    _known(stage, [str(one) for one in Stage], "stage")
    _known(reason, [str(one) for one in Reason], "reason")
    _known(state, STATES, "state of a dead letter")
    chosen = LetterFilter(
        source=source,
        stage=stage,
        reason=reason,
        state=state,
        since=parse_time(since),
        until=parse_time(until),
        limit=limit,
    )
    settings = _settings(data)
    store = StoreReader(settings.clickhouse)
    try:
        rows = list_dead_letters(store, chosen)
    finally:
        store.close()
    show(rows, COLUMNS, as_json=as_json, what="dead letters")


@group.command("show")
def show_one(letter_id: IdArgument, as_json: JsonOption = False, data: DataOption = None) -> None:
    """Show one dead letter: where, why, its headers, its bytes and what was done with it.

    Example: ensue dead-letters show 3f2a… --json
    """
    row = _find(_settings(data), letter_id)
    raw = base64.b64decode(row["raw_b64"])
    edited = row["edited_b64"]
    if as_json:
        print_json({**row, "raw_text": _as_text(raw)})
        return
    for name in ("id", "state", "at", "source", "stage", "reason", "error"):
        print(f"{name + ':':9}{row[name]}")
    if row["from_topic"]:
        print(f"{'lay in:':9}{row['from_topic']}[{row['from_partition']}] at offset {row['from_offset']}")
    for name, value in row["headers"].items() if isinstance(row["headers"], dict) else ():
        print(f"header   {name}: {_as_text(str(value).encode())}")
    for one in row["history"]:
        more = f" ({one['outcome']})" if "outcome" in one else ""
        print(f"{one['action'] + ':':9}{one['at']} by {one.get('by', '')}{more}")
    for title, body in (("as it came", raw), *([("edited", base64.b64decode(edited))] if edited else [])):
        print(f"--- {title}, {len(body)} bytes")
        print(_shown(body))


@group.command("edit")
def edit(
    letter_id: IdArgument,
    body: Annotated[
        str, typer.Option("--body", help="@FILE with the new bytes, or @- for standard input.")
    ] = "",
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Say what the next retry shall read; the bytes as they came are kept.

    Without --body your $EDITOR opens.

    Example: ensue dead-letters edit 3f2a… --body @mended.json
    """
    if body and not body.startswith("@"):
        raise BadInput(f"--body {body!r}: write @FILE, or @- for standard input")
    settings = _settings(data)
    row = _find(settings, letter_id)
    before = base64.b64decode(row["edited_b64"] or row["raw_b64"])
    new = _given(body) if body else _edited(before)
    if new == before:
        print("ensue: nothing was changed", file=sys.stderr)
        raise typer.Exit(1)
    _act(settings, row["id"], "edit", as_json=as_json, body_b64=base64.b64encode(new).decode())


@group.command("retry")
def retry(letter_id: IdArgument, as_json: JsonOption = False, data: DataOption = None) -> None:
    """Read the letter again by the gateway's own code, as edited last; its signature was checked once.

    Ends with 1 when it is still unusable: it stays open then.

    Example: ensue dead-letters retry 3f2a…
    """
    settings = _settings(data)
    told = _act(settings, _find(settings, letter_id)["id"], "retry", as_json=as_json)
    if told.get("outcome") in {"unusable", "partly"}:
        raise typer.Exit(1)


@group.command("drop")
def drop(letter_id: IdArgument, as_json: JsonOption = False, data: DataOption = None) -> None:
    """Mark a letter as one that nobody wants; it is kept and can still be retried.

    Example: ensue dead-letters drop 3f2a…
    """
    settings = _settings(data)
    _act(settings, _find(settings, letter_id)["id"], "drop", as_json=as_json)


def _act(settings: Settings, letter_id: str, action: str, *, as_json: bool, **more: str) -> dict[str, Any]:
    from streams.cli.operator import ask_gateway, who

    told = ask_gateway(settings, f"dead-letters/{letter_id}/{action}", {"by": who(), **more})
    if as_json:
        print_json(told)
        return told
    words = {"taken": "read again", "partly": "read again in part", "unusable": "still unusable"}
    if "republished_to" in told:
        print(f"{letter_id} was written to {told['republished_to']} again")
    elif "outcome" in told:
        ids = "".join(f"\nevent {event_id}" for event_id in told["events"])
        problems = "".join(f"\n{problem}" for problem in told["problems"])
        print(f"{letter_id}: {words[told['outcome']]}{ids}{problems}")
    else:
        print(f"{letter_id} was {told['action']}")
    return told


def _settings(data: Path | None) -> Settings:
    settings = load_settings(data)
    need(settings.clickhouse.url, "store", "ENSUE_CLICKHOUSE__URL")
    return settings


def _find(settings: Settings, letter_id: str) -> dict[str, Any]:
    from streams.store.queries.dead_letters import find_dead_letter
    from streams.store.queries.reader import StoreReader

    store = StoreReader(settings.clickhouse)
    try:
        row = find_dead_letter(store, letter_id)
    finally:
        store.close()
    if row is None:
        print(f"ensue: there is no dead letter {letter_id}; see `ensue dead-letters list`", file=sys.stderr)
        raise typer.Exit(NOTHING_FOUND)
    return row


def _known(value: str, values: Collection[str], what: str) -> None:
    if value and value not in values:
        raise BadInput(f"no {what} is called {value!r}; there are {', '.join(values)}")


def _given(body: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if body == "@-" else Path(body[1:]).read_bytes()
    except OSError as error:
        raise BadInput(f"--body {body}: {error.strerror}") from None


def _edited(before: bytes) -> bytes:
    """Return what the person's editor makes of it; raises EnsueError when the editor fails."""
    import os
    import shlex

    editor = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with tempfile.TemporaryDirectory(prefix="ensue-") as folder:
        path = Path(folder) / "body"
        path.write_bytes(before)
        try:
            done = subprocess.run([*editor, str(path)], check=False)
        except OSError as error:
            raise EnsueError(f"the editor {editor[0]} cannot be run ({error.strerror}); set EDITOR") from None
        if done.returncode:
            raise EnsueError(f"the editor {editor[0]} ended with {done.returncode}; nothing was changed")
        return path.read_bytes()


def _as_text(raw: bytes) -> str | None:
    """Return the bytes as text that may be shown on a terminal; None when they are none."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)


def _shown(raw: bytes) -> str:
    text = _as_text(raw)
    if text is not None:
        return text
    lines = (raw[at : at + 16] for at in range(0, len(raw), 16))
    return "\n".join(
        f"{16 * number:08x}  {line.hex(' '):47}  {''.join(chr(b) if 32 <= b < 127 else '.' for b in line)}"
        for number, line in enumerate(lines)
    )
