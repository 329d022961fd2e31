"""One command a part, for machines of their own: `ensue gateway`, `ensue worker` and so on."""

import faulthandler
import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from streams.cli.options import DataOption
from streams.errors import EnsueError
from streams.local.notice import end_with_supervisor
from streams.settings import Settings

PARTS = {
    "broker": "The embedded Kafka broker (development only).",
    "registry": "The schema registry: Confluent's REST API over the topic _schemas.",
    "store": "The embedded ClickHouse (development only), its HTTP protocol on 4289.",
    "gateway": "Take events in: POST /events, /hooks/NAME, watched folders.",
    "router": "Match events with triggers and write candidates.",
    "sink": "Persist every event, verdict, run and task record to ClickHouse.",
}


def register(app: typer.Typer) -> None:
    """Add a command for each part."""
    for name, text in PARTS.items():
        app.command(name, help=text)(_command(name))
    app.command("worker")(worker)


def _command(name: str) -> Callable[[Path | None], None]:
    def command(data: DataOption = None) -> None:
        run_part(name, Settings() if data is None else Settings(data=data))

    return command


def worker(
    flow_files: Annotated[
        list[Path] | None, typer.Argument(help="Files with flows, where they lie elsewhere here.")
    ] = None,
    data: DataOption = None,
) -> None:
    """Evaluate candidates and run flows."""
    from streams.wiring.worker import run

    settings = Settings() if data is None else Settings(data=data)
    start(settings, "worker")
    run(settings, [path.resolve() for path in flow_files or []])


def run_part(name: str, settings: Settings) -> None:
    """Run a part in this process until SIGTERM."""
    start(settings, name)
    importlib.import_module(f"streams.wiring.{name}").run(settings)


def start(settings: Settings, name: str) -> None:
    """Set logging up and end with the supervisor."""
    faulthandler.enable()  # a crash in C says where Python was
    logging.basicConfig(
        level=settings.log_level,
        format=f"%(asctime)s.%(msecs)03d %(levelname)s {name} %(name)s: %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
        stream=sys.stderr,
    )
    for noisy in ("httpx", "httpcore", "watchfiles"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    end_with_supervisor(lambda: os.kill(os.getpid(), signal.SIGTERM))
    if not settings.data.is_dir():
        try:
            settings.data.mkdir(parents=True)
        except OSError as error:
            raise EnsueError(f"the data folder {settings.data} cannot be made: {error}") from error
