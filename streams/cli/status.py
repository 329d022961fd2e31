"""`ensue status` and `ensue down`."""

import os
import signal
import sys
import time
from pathlib import Path

import typer

from streams.cli.options import DataOption, JsonOption
from streams.cli.output import NOTHING_FOUND, print_json, print_table
from streams.errors import EnsueError
from streams.local.instance import Instance, process_alive, read_instance
from streams.settings import Settings

STOP_TIMEOUT_S = 90.0


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("status")(status)
    app.command("down")(down)


def status(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Show what runs here and where it listens."""
    folder = _folder(data)
    instance = _instance(folder)
    parts = [
        {"part": name, **{k: part.get(k) for k in ("pid", "state", "restarts", "log")}}
        for name, part in instance.parts.items()
    ]
    if as_json:
        print_json(
            {"data": str(folder), "state": instance.state, "api_url": instance.api_url, "parts": parts}
        )
        return
    print(f"ensue is {instance.state} at {instance.api_url} (SQL {instance.clickhouse_url}, data {folder})")
    print_table(parts, ["part", "state", "pid", "restarts", "log"])


def down(data: DataOption = None) -> None:
    """Stop everything that `ensue up` started here; data stays."""
    folder = _folder(data)
    instance = _instance(folder)
    os.kill(instance.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while process_alive(instance.pid):
        if time.monotonic() > deadline:
            raise EnsueError(
                f"process {instance.pid} did not stop within {STOP_TIMEOUT_S:g} s; see {folder / 'logs'}"
            )
        time.sleep(0.1)
    print("stopped; data stays in", folder)


def _folder(data: Path | None) -> Path:
    return data if data is not None else Settings().data


def _instance(folder: Path) -> Instance:
    instance = read_instance(folder)
    if instance is None:
        print(f"ensue: nothing runs in {folder}; start it with `ensue up`", file=sys.stderr)
        raise typer.Exit(NOTHING_FOUND)
    return instance
