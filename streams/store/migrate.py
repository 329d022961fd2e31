"""Migrations: numbered files, each run once and recorded; every statement may be run again after a crash."""

from collections.abc import Callable, Mapping
from hashlib import blake2b

from streams.errors import BadInput
from streams.store import sql_files

Run = Callable[[str, Mapping[str, str]], str]  # a writer's statement, bound values → TSV text


def migrate(run: Run) -> tuple[str, ...]:
    """Apply what is missing and return its names; raises BadInput when an applied file was changed."""
    run(sql_files.query_text("migrations_table"), {})
    lines = run(sql_files.query_text("migrations_applied"), {}).splitlines()
    applied = dict(line.split("\t", 1) for line in lines if line)
    done: list[str] = []
    for name, statements in sql_files.migrations():
        digest = blake2b("\n".join(statements).encode(), digest_size=8).hexdigest()
        if name in applied:
            if applied[name] != digest:
                raise BadInput(
                    f"The migration {name} was changed after it had been applied to this store; "
                    "put the file back and write a new migration with the next number."
                )
            continue
        for statement in statements:
            run(statement, {})
        run(sql_files.query_text("migration_record"), {"name": name, "hash": digest})
        done.append(name)
    return tuple(done)
