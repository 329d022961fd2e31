"""The .avsc files as text and as parsed schemas."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

import fastavro


@cache
def text(name: str) -> str:
    """Return the JSON text of `schemas/avro/NAME.avsc` in one line, as it is registered."""
    raw = (files("schemas") / "avro" / f"{name}.avsc").read_text("utf-8")
    return json.dumps(json.loads(raw), separators=(",", ":"))


@cache
def names() -> tuple[str, ...]:
    """Return the stems of all schema files, sorted."""
    return tuple(
        sorted(
            f.name.removesuffix(".avsc")
            for f in (files("schemas") / "avro").iterdir()
            if f.name.endswith(".avsc")
        )
    )


def plain(schema: Any) -> Any:
    """Return `schema` without logical types and docs: the same bytes, but times stay µs and ids stay text."""
    if isinstance(schema, dict):
        return {k: plain(v) for k, v in schema.items() if k not in {"logicalType", "doc"}}
    if isinstance(schema, list):
        return [plain(s) for s in schema]
    return schema


def parse_plain(schema_text: str) -> Any:
    """Return fastavro's parsed form of a schema text, without logical types."""
    return fastavro.parse_schema(plain(json.loads(schema_text)))
