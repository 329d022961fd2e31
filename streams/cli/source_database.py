"""`ensue sources check-database`: may the log of a PostgreSQL database be read, and what SQL is missing."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from streams.cli.options import JsonOption
from streams.cli.output import print_json
from streams.errors import BadInput

_DEFAULT = "ensue"


def check_database(
    url: Annotated[
        str,
        typer.Argument(help="postgresql://USER@HOST:PORT/DATABASE; PGPASSWORD or ~/.pgpass.", metavar="URL"),
    ],
    tables: Annotated[
        list[str],
        typer.Option("--tables", help="schema.table; repeatable, or with commas.", metavar="TABLES"),
    ],
    slot: Annotated[str, typer.Option("--slot", help="Replication slot that would be used.")] = _DEFAULT,
    publication: Annotated[str, typer.Option("--publication", help="Publication to read.")] = _DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Say in one screen what a PostgreSQL database lacks before changes of its tables can be read.

    Each line comes with the SQL that mends it. Nothing is changed. Exit code 1 when something must be mended
    first; what is only advised does not count.

    \b
    ensue sources check-database postgresql://ensue@db.example/shop --tables public.orders
    """  # noqa: D301 - \b keeps typer from joining the example's lines
    from streams.cdc.database import database_facts
    from streams.cdc.findings import findings

    names = [name.strip() for text in tables for name in text.split(",") if name.strip()]
    for name in names:
        if name.count(".") != 1 or name.startswith(".") or name.endswith("."):
            raise BadInput(f"--tables {name!r} is no schema.table; write public.{name.strip('.')}")
    if not names:
        raise BadInput("--tables names no table")
    facts = database_facts(url, tables=names, slot=slot, publication=publication)
    found = findings(facts, tables=names, slot=slot, publication=publication)
    fatal = any(one.fatal for one in found)
    if as_json:
        told: dict[str, Any] = {"database": facts.database, "role": facts.role, "ready": not fatal}
        print_json({**told, "findings": [asdict(one) for one in found]})
    else:
        for one in found:
            print(f"{'MUST' if one.fatal else 'may '} {one.text}")
            if one.sql:
                print(f"     {one.sql}" + ("  -- then restart the server" if one.restart else ""))
        kinds = "" if not found else ", but for what may be better" if not fatal else ""
        print(
            f"{facts.database}: mend what is marked MUST, then ask again"
            if fatal
            else f"{facts.database}: changes of {', '.join(names)} can be read{kinds}"
        )
    if fatal:
        raise typer.Exit(1)
