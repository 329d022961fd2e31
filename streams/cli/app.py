"""The commands, gathered."""

import typer

from streams.cli import (
    check_request,
    dead_letters,
    deploy,
    doctor,
    emit,
    parts,
    read,
    schemas,
    sources,
    sql,
    status,
    up,
    why,
)

app = typer.Typer(
    name="ensue",
    help="An event happens, a run ensues, and it can always say why.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    *(up, status, doctor, emit, read, why, sql, deploy, schemas),
    *(sources, dead_letters, check_request, parts),
):
    module.register(app)
