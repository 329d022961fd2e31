"""Keys and values of the topic `_schemas`, as Confluent's registry writes them: JSON, compact. Pure."""

import json
from dataclasses import dataclass
from typing import Any

from schemas.compatibility import Level


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaVersion:
    """One version of a subject. A tombstone (`gone`) removes it for good, `deleted` only hides it."""

    subject: str
    version: int
    id: int = 0
    schema: str = ""
    kind: str = "AVRO"
    deleted: bool = False
    gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectDeleted:
    """All versions of a subject up to this one are hidden."""

    subject: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigSet:
    """The compatibility level of a subject, or of all (`subject` None); `level` None removes it."""

    subject: str | None
    level: Level | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HighestId:
    """Ids up to this one were given out; written before a tombstone may let compaction forget it.

    It travels as the value of Confluent's NOOP key, whose value nobody else reads.
    """

    id: int


Entry = SchemaVersion | SubjectDeleted | ConfigSet | HighestId


def encode(entry: Entry) -> tuple[bytes, bytes | None]:
    """Return key and value."""
    match entry:
        case SchemaVersion():
            key = {"keytype": "SCHEMA", "subject": entry.subject, "version": entry.version, "magic": 1}
            return _json(key), None if entry.gone else _json(_schema_value(entry))
        case SubjectDeleted():
            key = {"keytype": "DELETE_SUBJECT", "subject": entry.subject, "magic": 0}
            return _json(key), _json({"subject": entry.subject, "version": entry.version})
        case ConfigSet():
            key = {"keytype": "CONFIG", "subject": entry.subject, "magic": 0}
            return _json(key), None if entry.level is None else _json({"compatibilityLevel": entry.level})
        case HighestId():
            return _json({"keytype": "NOOP", "magic": 0}), _json({"highestId": entry.id})


def decode(key: bytes | None, value: bytes | None) -> Entry | None:
    """Return what a record says; None for kinds that do not matter here.

    Raises ValueError for bytes that are no such record.
    """
    try:
        name = json.loads(key or b"")
        data = None if value is None else json.loads(value)
        return _entry(name, data)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a record of a schema registry: {type(error).__name__}: {error}") from error


def _entry(name: dict[str, Any], data: dict[str, Any] | None) -> Entry | None:
    match name["keytype"]:
        case "SCHEMA":
            if data is None:
                return SchemaVersion(subject=name["subject"], version=int(name["version"]), gone=True)
            return SchemaVersion(
                subject=data["subject"],
                version=int(data["version"]),
                id=int(data["id"]),
                schema=str(data["schema"]),
                kind=data.get("schemaType") or "AVRO",
                deleted=bool(data.get("deleted", False)),
            )
        case "DELETE_SUBJECT" if data is not None:
            return SubjectDeleted(subject=data["subject"], version=int(data["version"]))
        case "CONFIG":
            level = None if data is None else data.get("compatibilityLevel")
            return ConfigSet(subject=name.get("subject"), level=None if level is None else Level(level))
        case "NOOP" if data is not None:
            return HighestId(id=int(data["highestId"]))
    return None


def _schema_value(entry: SchemaVersion) -> dict[str, Any]:
    found: dict[str, Any] = {
        "subject": entry.subject,
        "version": entry.version,
        "id": entry.id,
        "schema": entry.schema,
        "deleted": entry.deleted,
    }
    if entry.kind != "AVRO":
        found["schemaType"] = entry.kind
    return found


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
