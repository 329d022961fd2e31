"""`ensue deploy`."""

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.context import load_settings, need
from streams.cli.options import DataOption, JsonOption
from streams.cli.output import print_json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("deploy")(deploy)


def deploy(
    flow_files: Annotated[list[Path], typer.Argument(help="Files with flows.")],
    name: Annotated[
        str, typer.Option("--name", help="Deployment; it owns its triggers and removes its own.")
    ] = "default",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish the flows and triggers of these files; what they no longer have is removed.

    \b
    ensue deploy my_flows.py
    ensue deploy --name finance flows/*.py
    """  # noqa: D301 - \b keeps typer from joining the example's lines
    from streams.wiring.prepare import deploy_files

    settings = load_settings(data)
    need(settings.kafka.bootstrap_servers, "Kafka broker", "ENSUE_KAFKA__BOOTSTRAP_SERVERS")
    for path in flow_files:
        if not path.is_file():
            raise typer.BadParameter(f"{path} is not a file")
    registered: list[str] = []
    changes = deploy_files(
        settings,
        [path.resolve() for path in flow_files],
        deployment=name,
        by="ensue deploy",
        on_schema=lambda one: registered.append(f"registered schema of {one.event}, version {one.version}"),
    )
    if as_json:
        print_json(changes)
        return
    for line in registered:
        print(line)
    for change in changes:
        versions = f"trigger version {change['version']}, flow version {change['flow_version']}"
        print(f"{change['change']} {change['trigger']} -> {change['flow']} ({versions})")
    if not changes:
        print("nothing changed")
