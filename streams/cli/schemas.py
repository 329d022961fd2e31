"""`ensue schemas`: what payloads of an event name must be."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from streams.cli.context import load_settings, need
from streams.cli.options import DataOption, JsonOption
from streams.cli.output import NOTHING_FOUND, print_json, print_table, show
from streams.errors import BadInput
from streams.settings import Settings

NameArgument = Annotated[str, typer.Argument(help="Event name, for example order.paid.", metavar="NAME")]
COLUMNS = ("event", "version", "fields", "view")
_MODEL_SIGN = ".py:"
_HELP = """Say what payloads of an event name must be: register, list, show.

\b
ensue schemas register order.paid my_flows.py:OrderPaid
ensue schemas list
"""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(name="schemas", help=_HELP, no_args_is_help=True)
    commands.command("register")(register_schema)
    commands.command("list")(list_schemas)
    commands.command("show")(show_schema)
    app.add_typer(commands)


def register_schema(
    name: NameArgument,
    source: Annotated[
        str,
        typer.Argument(help="An Avro schema, or a pydantic model.", metavar="FILE.avsc|MODULE.py:Model"),
    ],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register what payloads of an event name must be; from then on the gateway refuses others.

    A newer version must read what earlier ones wrote; one that does not is refused with field and reason.

    \b
    ensue schemas register order.paid order_paid.avsc
    ensue schemas register order.paid my_flows.py:OrderPaid
    """  # noqa: D301 - \b keeps typer from joining the example's lines
    text = schema_text(source)
    from streams.wiring.event_types import event_schemas

    found = event_schemas(_settings(data)).register(name, text)
    told = {
        "event": found.event,
        "version": found.version,
        "id": found.schema_id,
        "subject": found.subject,
        "new": found.new,
    }
    if as_json:
        print_json(told)
        return
    said = "registered" if found.new else "was registered before"
    print(f"{found.event}: version {found.version} {said} (schema id {found.schema_id})")


def list_schemas(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the event names that have a schema, each with its newest version.

    \b
    ensue schemas list
    ensue schemas list --json
    """  # noqa: D301
    from schemas.event_type import view_of
    from streams.wiring.event_types import event_schemas

    types = event_schemas(_settings(data)).types()
    rows: list[dict[str, Any]] = [
        {
            "event": name,
            "version": kind.newest.number,
            "id": kind.newest.schema_id,
            "versions": sorted(version.number for version in kind.versions),
            "record": kind.newest.shape.name,
            "fields": list(kind.newest.shape.fields),
            "view": view_of(name),
        }
        for name, kind in sorted(types.items())
    ]
    shown = rows if as_json else [{**row, "fields": ", ".join(row["fields"])} for row in rows]
    show(shown, COLUMNS, as_json=as_json, what="schemas of events; `ensue schemas register` adds one")


def show_schema(
    name: NameArgument,
    version: Annotated[int | None, typer.Option("--version", min=1, help="Instead of the newest.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a schema: its fields, their columns in SQL, and the Avro text.

    \b
    ensue schemas show order.paid
    ensue schemas show order.paid --version 1 --json
    """  # noqa: D301
    from dataclasses import replace

    from schemas.event_type import view_of
    from streams.store.typed_view import columns_of
    from streams.wiring.event_types import event_schemas

    kind = event_schemas(_settings(data)).types().get(name)
    chosen = [one for one in kind.versions if version in {None, one.number}] if kind else []
    if kind is None or not chosen:
        what = f"version {version} of {name}" if kind else f"schema of {name}"
        typer.echo(f"ensue: there is no {what}; `ensue schemas list` shows what there is", err=True)
        raise typer.Exit(NOTHING_FOUND)
    kind = replace(kind, versions=(chosen[0],))
    avro = {one["name"]: one for one in json.loads(chosen[0].text)["fields"]}
    fields = [
        {
            "name": column.field,
            "required": chosen[0].shape.fields[column.field].required,
            "column": column.name,
            "sql": column.sql_type,
            "avro": avro[column.field]["type"],
        }
        for column in columns_of(kind)
    ]
    if as_json:
        print_json(
            {
                "event": name,
                "version": chosen[0].number,
                "id": chosen[0].schema_id,
                "view": view_of(name),
                "fields": fields,
                "schema": json.loads(chosen[0].text),
            }
        )
        return
    print(f"{name} version {chosen[0].number} (schema id {chosen[0].schema_id}), view {view_of(name)}\n")
    print_table(fields, ("name", "required", "column", "sql", "avro"))
    print(f"\n{json.dumps(json.loads(chosen[0].text), indent=2, ensure_ascii=False)}")


def schema_text(source: str) -> str:
    """Return the schema that a person names: a file, or a model in a Python file; raises BadInput."""
    if _MODEL_SIGN in source:
        path, _, model = source.rpartition(":")
        return _of_model(Path(path), model)
    try:
        return Path(source).read_text("utf-8")
    except OSError as error:
        raise BadInput(f"{source} cannot be read: {error.strerror}; a model is named FILE.py:Model") from None
    except UnicodeDecodeError:
        raise BadInput(f"{source} is not UTF-8 text") from None


def _of_model(path: Path, name: str) -> str:
    from pydantic import BaseModel

    from flows.errors import LoadError
    from flows.loader import load
    from schemas import model_schema

    try:
        found = getattr(load(path).module, name, None)
    except LoadError as error:
        raise BadInput("\n".join(filter(None, [str(error), error.traceback]))) from None
    if not isinstance(found, type) or not issubclass(found, BaseModel):
        raise BadInput(f"{path} has no pydantic model {name!r}")
    try:
        return model_schema.schema_text(found)
    except model_schema.UnfitModel as error:
        raise BadInput(str(error)) from None


def _settings(data: Path | None) -> Settings:
    settings = load_settings(data)
    need(settings.registry.url, "schema registry", "ENSUE_REGISTRY__URL")
    return settings
