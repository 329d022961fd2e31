"""Read-only SQL from strangers: five layers, because each alone has a hole that was used.

1. the process's grants name no source, so no table function reaches files or the network (folder.py);
2. the handle has limits and `readonly=1`, which statements cannot change (engine.py);
3. `formatQuerySingleLineOrNull` with the text as a bound value: one statement or none, comments gone;
4. the normal text is wrapped as a sub-query: refuses SYSTEM, KILL, INTO OUTFILE, whatever is no SELECT;
5. `EXPLAIN AST` of the wrapped text: kinds of nodes, functions and tables from allow-lists.

Never run EXPLAIN AST on raw text: it executes a second statement.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Protocol

from streams.errors import BadInput
from streams.store import sql_files

NORMAL = "SELECT formatQuerySingleLineOrNull({q:String})"
ROWS_MAX = 100_000
TEXT_CHARS_MAX = 100_000
SYNTAX_ERROR = 62
ACCESS_DENIED = 497

_FORMAT = re.compile(r"^(.*\S)\s+FORMAT\s+([A-Za-z0-9_]+)$", re.DOTALL)
_FORMATS = re.compile(
    r"(TabSeparated|TSV|CSV|CustomSeparated|JSON|JSONCompact|Pretty|PrettyCompact|PrettySpace|RowBinary)\w*"
    r"|Vertical|Native|Markdown|XML|Values|TSKV|Arrow|ArrowStream|Parquet|ORC|Avro|MsgPack|BSONEachRow"
    r"|LineAsString|RawBLOB|Null|SQLInsert"
)
_AST_LINE = re.compile(r"^ *([A-Za-z]+)(?: (.*?))?(?: \(children \d+\))?$", re.DOTALL)
_NODE_NAMES = """
    SelectWithUnionQuery SelectIntersectExceptQuery ExpressionList SelectQuery TablesInSelectQuery
    TablesInSelectQueryElement TableExpression TableJoin TableIdentifier ArrayJoin Subquery Identifier
    Function Literal Asterisk QualifiedAsterisk ColumnsRegexpMatcher ColumnsListMatcher
    ColumnsTransformerList ColumnsExceptTransformer OrderByElement WithElement WindowDefinition
    WindowListElement InterpolateElement SampleRatio
"""
_NODES = frozenset(_NODE_NAMES.split())
_COMBINATORS = re.compile(r"(If|Array|Distinct|OrNull|OrDefault)$")
_SYSTEM_TABLES = frozenset(
    f"system.{name}" for name in ("one", "numbers", "settings", "databases", "tables", "columns", "functions")
)
_FOREIGN = frozenset({"system", "information_schema", "default", "_temporary_and_external_tables"})
_SHOW_TABLES = re.compile(r"SHOW TABLES(?: FROM (\w+))?")
_DESCRIBE = re.compile(r"DESCRIBE TABLE (?:(\w+)\.)?(\w+)")


class Parser(Protocol):
    """ClickHouse's own parser, on a handle or for a user that is read-only itself."""

    def normal(self, sql: str) -> str | None:
        """Return `sql`, bound as a value, as formatQuerySingleLineOrNull writes it; nothing of it runs."""
        ...

    def tree(self, sql: str) -> str:
        """Return EXPLAIN AST of normal text, with the stranger's values bound."""
        ...


class Refused(BadInput):
    """A statement that a reader may not run; `code` is the number ClickHouse gives such an error."""

    def __init__(self, message: str, *, code: int = ACCESS_DENIED) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Permitted:
    """What may be sent to a read-only handle, and the output format that the statement asked for."""

    sql: str
    output_format: str | None


@cache
def allowed_functions() -> frozenset[str]:
    """Return the reviewed names of `allowed_functions.txt`."""
    text = (files("streams.store") / "allowed_functions.txt").read_text("utf-8")
    return frozenset(name for line in text.splitlines() if not line.startswith("#") for name in line.split())


@cache
def _allowed_lower() -> frozenset[str]:
    return frozenset(name.lower() for name in allowed_functions())


def permit(sql: str, database: str, parser: Parser, functions: frozenset[str]) -> Permitted:
    """Return what may run in place of `sql`; raises Refused.

    Args:
        sql: a stranger's text.
        database: the only one whose tables may be read, beside a few system tables.
        parser: ClickHouse's own.
        functions: all function names that this ClickHouse knows.

    """
    if len(sql) > TEXT_CHARS_MAX:
        raise Refused(
            f"The statement has {len(sql)} characters; at most {TEXT_CHARS_MAX} are read.", code=SYNTAX_ERROR
        )
    normal = _normal(sql, parser)
    output_format = None
    if found := _FORMAT.match(normal):
        output_format = found[2]
        if not _FORMATS.fullmatch(output_format):
            raise Refused(f"The output format {output_format} is not offered; use JSON, CSV, TSV or Parquet.")
        normal = _normal(found[1], parser)
    normal = _about_tables(normal, database) or normal
    wrapped = f"SELECT * FROM ({normal}) LIMIT {ROWS_MAX + 1}"  # noqa: S608 - layer 4; layer 3 was before
    if parser.normal(wrapped) is None:
        raise Refused(
            "Only one SELECT is run here (no INSERT, SYSTEM, KILL, SET, INTO OUTFILE, SHOW or EXPLAIN); "
            "ask system.tables and system.columns what there is."
        )
    for line in parser.tree(wrapped).rstrip("\n").split("\n"):
        _check_node(line, database, functions)
    return Permitted(sql=wrapped, output_format=output_format)


def _normal(sql: str, parser: Parser) -> str:
    text = parser.normal(sql)
    if not text:
        raise Refused(
            "This is not one SQL statement: check quotes and brackets, and send statements one by one.",
            code=SYNTAX_ERROR,
        )
    return text


def _about_tables(normal: str, database: str) -> str | None:
    """Return a SELECT in place of the two ways in which people ask what there is."""
    if (found := _SHOW_TABLES.fullmatch(normal)) and found[1] in {None, database}:
        return sql_files.query_text("show_tables").replace("DATABASE", f"'{database}'")
    if (found := _DESCRIBE.fullmatch(normal)) and found[1] in {None, database}:
        text = sql_files.query_text("describe_table").replace("DATABASE", f"'{database}'")
        return text.replace("TABLE", f"'{found[2]}'")  # \w+ alone
    return None


def _check_node(line: str, database: str, functions: frozenset[str]) -> None:
    found = _AST_LINE.match(line)
    if found is None or found[1] not in _NODES:
        raise Refused(f"This part of the statement is not offered to readers: {line.strip()[:80]}")
    kind, rest = found[1], found[2] or ""
    name = rest.split(" (alias ", 1)[0]
    if kind == "Function":
        _check_function(name.split(" ", 1)[0])
    elif kind == "TableIdentifier":
        _check_table(name, database)
    elif kind == "Identifier":
        _check_identifier(name, database, functions)


def _check_identifier(name: str, database: str, functions: frozenset[str]) -> None:
    if name.split(".", 1)[0].lower() in _FOREIGN and name not in _SYSTEM_TABLES:
        # `x IN system.processes` names a table where a column could stand.
        raise Refused(f"{name[:80]} is not readable; the tables of {database} are.")
    if name in functions and name not in allowed_functions():
        # `arrayMap(file, …)` names a function where a column could stand.
        raise Refused(f"{name[:80]} is the name of a function that is not offered; call yours otherwise.")


def _check_function(name: str) -> None:
    if name in allowed_functions() or name.lower() in _allowed_lower():
        return
    base = name
    for _ in range(3):
        shorter = _COMBINATORS.sub("", base)
        if shorter == base:
            break
        base = shorter
        if base in allowed_functions():
            return
    raise Refused(
        f"The function {name[:80]} is not offered to readers (streams/store/allowed_functions.txt lists all)."
    )


def _check_table(name: str, database: str) -> None:
    parts = name.split(".")
    if len(parts) == 1 or (len(parts) == 2 and parts[0] == database) or name in _SYSTEM_TABLES:
        return
    raise Refused(f"The table {name[:80]} is not readable; the tables of {database} are.")
