"""How commands show things: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import typer

NOTHING_FOUND = 3


def print_json(value: object) -> None:
    """Print one JSON document."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=_text))


def print_ndjson(rows: Iterable[object]) -> None:
    """Print one JSON document a line, at once."""
    for row in rows:
        print(json.dumps(row, ensure_ascii=False, default=_text), flush=True)


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print rows under a header; wide cells are cut on a terminal, never in a pipe."""
    cells = [[cell_text(row.get(column)) for column in columns] for row in rows]
    widths = [
        max(len(column), *(len(line[i]) for line in cells)) if cells else len(column)
        for i, column in enumerate(columns)
    ]
    if sys.stdout.isatty():
        widths = [min(width, 60) for width in widths]
    print("  ".join(name.upper().ljust(width) for name, width in zip(columns, widths, strict=True)).rstrip())
    for line in cells:
        shown = (_cut(cell, width).ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(shown).rstrip())


def show(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, what: str) -> None:
    """Print rows as a table or as JSON; none at all ends with exit code 3."""
    if as_json:
        print_json(rows)
    elif rows:
        print_table(rows, columns)
    else:
        print(f"ensue: no {what} found; widen --since or drop a filter", file=sys.stderr)
    if not rows:
        raise typer.Exit(NOTHING_FOUND)


def cell_text(value: object) -> str:
    """Return a value in one line; control characters are shown, not obeyed."""
    text = "" if value is None else value if isinstance(value, str) else _compact(value)
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _compact(value: object) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S.") + f"{value.microsecond // 1000:03d}"
    return (
        json.dumps(value, ensure_ascii=False, default=_text) if isinstance(value, dict | list) else str(value)
    )


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
