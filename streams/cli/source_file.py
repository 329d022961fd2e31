"""`[sources.NAME]` in ensue.toml, written so that a person's comments and order stay."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import tomlkit
from pydantic import TypeAdapter, ValidationError

from streams.errors import BadInput
from streams.source_settings import FolderSource, HttpSourceSettings, KafkaSource, Source, SqsSource

TOML = Path("ensue.toml")
# What stands in a URL, in a file name and behind ENSUE_SOURCES__.
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]|_(?!_)){0,62}")
_RESERVED = {"gateway": "events of the gateway itself carry it"}
# Never in toml, where everybody may read them.
_SECRET_FIELDS = ("token", "secrets", "password")
_ADAPTER: TypeAdapter[Source] = TypeAdapter(Source)
_MODELS = (FolderSource, HttpSourceSettings, SqsSource, KafkaSource)


def kinds() -> tuple[str, ...]:
    """Return every kind of source."""
    return tuple(sorted(k for model in _MODELS for k in get_args(model.model_fields["kind"].annotation)))


def check_name(name: str) -> str:
    """Return the name; raises BadInput when no source can be called so."""
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"{name!r} is no name of a source: use a to z, 0 to 9, - and single _, 63 at most, the "
            "first a letter or digit"
        )
    if name in _RESERVED:
        raise BadInput(f"no source can be called {name}: {_RESERVED[name]}")
    return name


def checked(name: str, fields: Mapping[str, Any]) -> Source:
    """Return the settings of these fields; raises BadInput that names the field."""
    if fields.get("kind") not in kinds():
        raise BadInput(f"there is no kind {fields.get('kind')!r}; these are known: {', '.join(kinds())}")
    for field in _SECRET_FIELDS:
        if field in fields:
            raise BadInput(f"{field} does not belong into ensue.toml; leave it out: a secrets file is made")
    try:
        return _ADAPTER.validate_python(dict(fields))
    except ValidationError as error:
        told = []
        for one in error.errors():
            place = ".".join(str(part) for part in one["loc"][1:])  # the first part is the kind
            told.append(f"{place or 'kind'}: {one['msg'][0].lower()}{one['msg'][1:]}")
        raise BadInput(f"source {name}: {'; '.join(told)}") from None


def field_of(text: str) -> tuple[str, Any]:
    """Return the field and the value of `FIELD=VALUE`; a value that is no TOML is a text."""
    field, given, value = text.partition("=")
    if not given or not field.strip():
        raise BadInput(f"--set {text!r}: write FIELD=VALUE")
    try:
        return field.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return field.strip(), value


def add(path: Path, name: str, fields: Mapping[str, Any]) -> None:
    """Append `[sources.NAME]`; raises BadInput when there is one already."""
    text, before = _read(path)
    if name in before.get("sources", {}):
        raise BadInput(f"there is a source {name} already; `ensue sources remove {name}` takes it away")
    table = tomlkit.table()
    for field, value in fields.items():
        table.add(field, _inline(value))
    block = f"[sources.{name}]\n{table.as_string()}"
    wanted = {**before, "sources": {**before.get("sources", {}), name: dict(fields)}}
    new = f"{text.rstrip()}\n\n{block}" if text.strip() else block
    if _parsed(new) != wanted:  # `sources` stands there as one inline table
        document = tomlkit.parse(text)
        document["sources"][name] = _inline(fields)
        new = tomlkit.dumps(document)
    _save(path, new)


def remove(path: Path, name: str) -> dict[str, Any] | None:
    """Take `[sources.NAME]` away; return what stood there, None when nothing did."""
    text, before = _read(path)
    sources = dict(before.get("sources", {}))
    table = sources.pop(name, None)
    if table is None:
        return None
    wanted = {key: value for key, value in before.items() if key != "sources"}
    new = _without(text, name)
    found = _parsed(new)
    if found != {**wanted, "sources": sources} and (sources or found != wanted):
        document = tomlkit.parse(text)
        del document["sources"][name]
        new = tomlkit.dumps(document)
    _save(path, new)
    return dict(table)


def _inline(value: Any) -> Any:
    """Return a value that stands on its field's line."""
    if not isinstance(value, Mapping):
        return value
    table = tomlkit.inline_table()
    table.update({key: _inline(item) for key, item in value.items()})
    return table


def _without(text: str, name: str) -> str:
    """Return the text without the table's lines; comments that follow it belong to what follows."""
    header = re.compile(rf"\s*\[\s*sources\s*\.\s*\"?{re.escape(name)}\"?\s*(\..*)?\]\s*(#.*)?")
    kept: list[str] = []
    loose: list[str] = []  # blank lines and comments since the table's last field
    inside = False
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith("["):
            now_inside = header.fullmatch(line.rstrip("\n")) is not None
            kept += loose if inside and not now_inside else []
            inside, loose = now_inside, []
        if not inside:
            kept.append(line)
        elif not line.strip() or line.lstrip().startswith("#"):
            loose.append(line)
        else:
            loose = []
    return "".join(kept + loose)


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return "", {}
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error}") from None
    found = _parsed(text)
    if found is None:
        raise BadInput(f"{path} is not TOML; mend it first (`ensue sources list` says where)")
    return text, found


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _save(path: Path, text: str) -> None:
    """Replace the file in one step: the running gateway never reads half of it."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(text, "utf-8")
    if path.exists():
        part.chmod(path.stat().st_mode & 0o777)
    part.replace(path)
