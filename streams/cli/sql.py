"""`ensue sql`: any question, read-only."""

import json
import sys
from typing import Annotated

import typer

from streams.cli.context import load_settings, need
from streams.cli.options import DataOption, JsonOption
from streams.cli.output import NOTHING_FOUND, print_json
from streams.errors import BadInput


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("sql")(sql)


def sql(
    statement: Annotated[str, typer.Argument(help="One SELECT; - reads it from standard input.")],
    data: DataOption = None,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV with a header line.")] = False,
) -> None:
    """Ask the store in SQL; only reading is possible, within limits.

    \b
    ensue sql "SELECT event, count() FROM events GROUP BY event"
    ensue sql "SELECT * FROM runs WHERE state = 'failed'" --json
    ensue sql - --csv < question.sql
    """  # noqa: D301 - \b keeps typer from joining the example's lines
    # Late, so that `ensue --help` loads no client.
    from streams.store.queries.reader import StoreReader
    from streams.store.read_only_sql import ReadOnlySql

    if as_json and as_csv:
        raise BadInput("--json and --csv exclude each other")
    settings = load_settings(data)
    need(settings.clickhouse.url, "store", "ENSUE_CLICKHOUSE__URL")
    text = sys.stdin.read() if statement == "-" else statement
    store = StoreReader(settings.clickhouse)
    try:
        if as_json:
            rows = json.loads(ReadOnlySql(store).run(text, "JSON"))["data"]
            print_json(rows)
            if not rows:
                raise typer.Exit(NOTHING_FOUND)
            return
        answer = ReadOnlySql(store).run(text, "CSVWithNames" if as_csv else "PrettyCompactMonoBlock")
    finally:
        store.close()
    sys.stdout.write(answer.decode("utf-8", "replace"))
