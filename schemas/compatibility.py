"""Can a reader's schema read what a writer's schema wrote? Avro's resolution rules, with reasons.

fastavro resolves while reading and has no check ahead of time; Apache's `avro` package has one, but its
answer is no sentence for a person and it would be a dependency for this file alone.
tests/property/test_compatibility_fastavro.py holds every answer against what fastavro really reads.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import fastavro

_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_NAMED = frozenset({"record", "error", "enum", "fixed"})
_PROMOTIONS: Mapping[str, frozenset[str]] = {  # writer: readers beside itself
    "int": frozenset({"long", "float", "double"}),
    "long": frozenset({"float", "double"}),
    "float": frozenset({"double"}),
    "string": frozenset({"bytes"}),
    "bytes": frozenset({"string"}),
}


class InvalidSchemaError(ValueError):
    """A text is no Avro schema; the message says why."""


class Level(StrEnum):
    """Which way data may travel between versions; TRANSITIVE looks at all versions, else at the newest."""

    NONE = "NONE"
    BACKWARD = "BACKWARD"  # the new schema reads old data
    BACKWARD_TRANSITIVE = "BACKWARD_TRANSITIVE"
    FORWARD = "FORWARD"  # the old schema reads new data
    FORWARD_TRANSITIVE = "FORWARD_TRANSITIVE"
    FULL = "FULL"  # both
    FULL_TRANSITIVE = "FULL_TRANSITIVE"


@dataclass(frozen=True, slots=True)
class Parsed:
    """A schema with every name resolved."""

    root: Any
    named: Mapping[str, Any]  # full name → definition

    def definition(self, schema: Any) -> Any:
        """Return the definition behind a reference; anything else is returned as it is."""
        return self.named.get(schema, schema) if isinstance(schema, str) else schema


@dataclass(frozen=True, slots=True)
class Problem:
    """Why data cannot be read, and where."""

    path: str  # below the root, for example `.labels{}.size`
    reason: str


def parse(text: str) -> Parsed:
    """Return the parsed form of a schema's JSON text; raises InvalidSchemaError."""
    named: dict[str, Any] = {}
    try:
        root = fastavro.parse_schema(json.loads(text), named_schemas=named, _write_hint=False)
    except Exception as error:
        raise InvalidSchemaError(f"not an Avro schema: {type(error).__name__}: {error}") from error
    return Parsed(root, named)


def incompatibilities(level: Level, new: str, earlier: Mapping[int, str]) -> list[str]:
    """Return why `new` may not follow the `earlier` versions (number → text); empty when it may.

    Every sentence names the version, the direction and the field. Raises InvalidSchemaError.
    """
    parsed = parse(new)
    if level is Level.NONE or not earlier:
        return []
    numbers = sorted(earlier) if level.value.endswith("TRANSITIVE") else [max(earlier)]
    found: list[str] = []
    for number in numbers:
        old = parse(earlier[number])
        if not level.value.startswith("FORWARD"):
            found += _sentences(f"the new schema cannot read data of version {number}", parsed, old)
        if not level.value.startswith("BACKWARD"):
            found += _sentences(f"version {number} cannot read data of the new schema", old, parsed)
    return found


def unreadable(reader: str, writer: str) -> list[str]:
    """Return why data of the schema text `writer` cannot be read with `reader`; empty when all can be."""
    return _sentences("", parse(reader), parse(writer))


def _sentences(lead: str, reader: Parsed, writer: Parsed) -> list[str]:
    root = _name(reader.root)
    try:
        found = _Resolution(reader, writer).check(reader.root, writer.root)
    except RecursionError as error:
        raise InvalidSchemaError(f"schema {root} is nested too deep to be judged") from error
    return [f"{root}{p.path}: {f'{lead}: ' if lead else ''}{p.reason}" for p in dict.fromkeys(found)]


class _Resolution:
    """One reader against one writer. Record pairs are judged once, so that recursive schemas end."""

    def __init__(self, reader: Parsed, writer: Parsed) -> None:
        self._reader = reader
        self._writer = writer
        self._open: set[tuple[int, int]] = set()  # being judged: assumed fine
        self._fine: set[tuple[int, int]] = set()
        self._bad: dict[tuple[int, int], list[Problem]] = {}

    def check(self, reader: Any, writer: Any) -> list[Problem]:
        reader, writer = self._reader.definition(reader), self._writer.definition(writer)
        if isinstance(writer, list):
            return [problem for branch in writer for problem in self.check(reader, branch)]
        if isinstance(reader, list):
            return self._choose(reader, writer)
        r_kind, w_kind = _kind(reader), _kind(writer)
        if r_kind != w_kind:
            if r_kind in _PROMOTIONS.get(w_kind, ()):
                return []
            return [Problem("", f"{_words(writer)} was written, {_words(reader)} is read")]
        match r_kind:
            case "array":
                return _below("[]", self.check(reader["items"], writer["items"]))
            case "map":
                return _below("{}", self.check(reader["values"], writer["values"]))
            case "record" | "error" | "enum" | "fixed":
                return self._named(r_kind, reader, writer)
        return []

    def _choose(self, branches: Sequence[Any], writer: Any) -> list[Problem]:
        """A reader's union: some branch must take the writer's type."""
        attempts = [self.check(branch, writer) for branch in branches]
        if not all(attempts):
            return []
        for branch, problems in zip(branches, attempts, strict=True):
            branch_type = self._reader.definition(branch)
            if _kind(branch_type) == _kind(writer) and (
                _kind(writer) not in _NAMED or _same_name(branch_type, writer)
            ):
                return problems  # the branch that was meant: its reasons say more
        return [Problem("", f"{_words(writer)} was written, the union read has no branch that takes it")]

    def _named(self, kind: str, reader: Any, writer: Any) -> list[Problem]:
        if not _same_name(reader, writer):
            return [
                Problem(
                    "",
                    f"{_words(writer)} was written, {_words(reader)} is read; "
                    "keep the name or list the old one under aliases",
                )
            ]
        if kind == "fixed":
            if reader["size"] == writer["size"]:
                return []
            return [Problem("", f"{writer['size']} bytes were written, {reader['size']} are read")]
        if kind == "enum":
            return _enum(reader, writer)
        return self._record(reader, writer)

    def _record(self, reader: Any, writer: Any) -> list[Problem]:
        pair = (id(reader), id(writer))
        if pair in self._open or pair in self._fine:
            return []
        if pair in self._bad:
            return self._bad[pair]
        self._open.add(pair)
        found = self._fields(reader, writer)
        self._open.discard(pair)
        if found:
            self._bad[pair] = found
            self._fine.clear()  # they may have been judged under the assumption that this pair is fine
        else:
            self._fine.add(pair)
        return found

    def _fields(self, reader: Any, writer: Any) -> list[Problem]:
        written = {field["name"]: field for field in writer["fields"]}
        found: list[Problem] = []
        for field in reader["fields"]:
            names = (field["name"], *field.get("aliases", ()))
            source = next((written[name] for name in names if name in written), None)
            if source is not None:
                found += _below(f".{field['name']}", self.check(field["type"], source["type"]))
            elif "default" not in field:
                reason = "the field was not written and has no default; give it a default"
                found.append(Problem(f".{field['name']}", reason))
        return found


def _enum(reader: Any, writer: Any) -> list[Problem]:
    unknown = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
    if not unknown or "default" in reader:
        return []
    reason = f"the symbols {', '.join(unknown)} may have been written and the enum read has no default"
    return [Problem("", reason)]


def _below(prefix: str, problems: Sequence[Problem]) -> list[Problem]:
    return [Problem(prefix + problem.path, problem.reason) for problem in problems]


def _kind(schema: Any) -> str:
    if isinstance(schema, list):
        return "union"
    if not isinstance(schema, dict):
        return str(schema)
    inner = schema["type"]
    return inner if isinstance(inner, str) else _kind(inner)


def _name(schema: Any) -> str:
    """The unqualified name of a named type, else its kind."""
    return str(schema["name"]).rpartition(".")[2] if _kind(schema) in _NAMED else _kind(schema)


def _words(schema: Any) -> str:
    kind = _kind(schema)
    return f"{kind} {_name(schema)}" if kind in _NAMED else kind


def _same_name(reader: Any, writer: Any) -> bool:
    """Unqualified names match, or an alias of the reader's type is the writer's name."""
    if _name(reader) == _name(writer):
        return True
    namespace = str(reader["name"]).rpartition(".")[0]
    spelled = reader.get("aliases", ())
    aliases = [name if "." in name or not namespace else f"{namespace}.{name}" for name in spelled]
    return writer["name"] in aliases


def changed_meanings(new: str, old: str) -> list[str]:
    """Return fields whose bytes stay readable but mean something else: another logical type.

    Avro resolves milliseconds read as microseconds without a word; our history refuses that.
    """
    after, before = _meanings(parse(new)), _meanings(parse(old))
    return [
        f"{path}: logical type {before[path] or 'none'} became {after[path] or 'none'}: "
        "the same bytes would mean something else; add a new field instead"
        for path in before
        if path in after and before[path] != after[path]
    ]


def _meanings(parsed: Parsed) -> dict[str, str]:
    """Path → logical type (with its parameters), for every value of the schema."""
    found: dict[str, str] = {}
    seen: set[str] = set()

    def walk(schema: Any, path: str) -> None:
        schema = parsed.definition(schema)
        if isinstance(schema, list):
            for branch in schema:
                if _kind(branch) != "null":
                    walk(branch, path)
            return
        kind = _kind(schema)
        logical = schema.get("logicalType", "") if isinstance(schema, dict) else ""
        if logical == "decimal":
            logical = f"decimal({schema.get('precision')}, {schema.get('scale', 0)})"
        found.setdefault(path, logical)
        if kind == "array":
            walk(schema["items"], f"{path}[]")
        elif kind == "map":
            walk(schema["values"], f"{path}{{}}")
        elif kind in {"record", "error"} and schema["name"] not in seen:
            seen.add(schema["name"])
            for field in schema["fields"]:
                walk(field["type"], f"{path}.{field['name']}")

    walk(parsed.root, _name(parsed.root))
    return found
