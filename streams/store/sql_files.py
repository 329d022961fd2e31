"""SQL lives in .sql files with names, never in strings."""

from functools import cache
from importlib.resources import files


@cache
def query_text(name: str) -> str:
    """Return the text of `sql/queries/NAME.sql`."""
    return (files("streams.store") / "sql" / "queries" / f"{name}.sql").read_text("utf-8").strip().rstrip(";")


@cache
def migrations() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return (name, statements) of every migration in the order of their numbers.

    A statement ends with a semicolon at the end of a line.
    """
    folder = files("streams.store") / "sql" / "migrations"
    found = sorted(
        (f.name.removesuffix(".sql"), f.read_text("utf-8"))
        for f in folder.iterdir()
        if f.name.endswith(".sql")
    )
    return tuple((name, _statements(text)) for name, text in found)


def _statements(text: str) -> tuple[str, ...]:
    parts = (part.strip() for part in f"{text}\n".split(";\n"))
    return tuple(part for part in parts if part)
