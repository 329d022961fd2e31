"""Released schema versions bind the current ones."""

import json
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

from schemas import avro_schema, release
from schemas.codec import CLASSES

pytestmark = pytest.mark.unit


def mutated(name: str, change: Any) -> str:
    schema = json.loads(avro_schema.text(name))
    change(schema["fields"])
    return json.dumps(schema)


@pytest.mark.parametrize("name", avro_schema.names())
def test_current_schemas_read_every_released_version(name: str) -> None:
    """Every .avsc is BACKWARD compatible with all its released versions and is itself released."""
    assert release.problems(name, avro_schema.text(name), release.history(name)) == []


@pytest.mark.parametrize("name", avro_schema.names())
def test_id_and_event_stand_first_in_every_version(name: str) -> None:
    """Readers peek id and event name off the bytes, whatever the version."""
    for version, text in {0: avro_schema.text(name), **release.history(name)}.items():
        assert release.first_fields(f"{name} version {version}", text) == []


def test_no_history_without_a_schema() -> None:
    """A schema file cannot vanish while its history stays."""
    assert {folder.name for folder in release.HISTORY.iterdir()} == set(avro_schema.names())


BREAKING: dict[str, tuple[Any, str]] = {
    "new field without default": (
        lambda fields: fields.append({"name": "added", "type": "string"}),
        "Event.added: the new schema cannot read data of version 1: the field was not written",
    ),
    "type narrowed": (
        lambda fields: fields[3].update(type="int"),
        "Event.occurred: the new schema cannot read data of version 1: long was written, int is read",
    ),
    "meaning changed": (
        lambda fields: fields[3].update(type={"type": "long", "logicalType": "timestamp-millis"}),
        "Event.occurred: logical type timestamp-micros became timestamp-millis",
    ),
    "id moved": (lambda fields: fields.append(fields.pop(0)), "event.avsc: its first two fields must be id"),
    "required made null": (
        lambda fields: (fields[9].update(type="string"), fields[9].pop("default")),
        "Event.causation_id: the new schema cannot read data of version 1: null was written, string is read",
    ),
}


@pytest.mark.parametrize("case", BREAKING)
def test_a_breaking_change_is_caught_with_field_and_reason(case: str) -> None:
    """A mutated event schema fails the history check in a sentence that names the field."""
    change, sentence = BREAKING[case]
    found = release.problems("event", mutated("event", change), release.history("event"))
    assert any(line.startswith(sentence) for line in found), found


def test_an_unreleased_change_names_the_command() -> None:
    """A compatible change that was not added to the history fails with the command to run."""
    new = mutated("event", lambda fields: fields.append({"name": "added", "type": "string", "default": ""}))
    found = release.problems("event", new, release.history("event"))
    assert found == [
        (
            "event.avsc differs from its newest released version: "
            f"run `{release.COMMAND}` and commit the new file"
        )
    ]


def test_a_gap_in_the_history_is_seen() -> None:
    """A released version cannot be removed unseen."""
    text = avro_schema.text("event")
    assert any("none may be removed" in line for line in release.problems("event", text, {2: text}))


def test_release_writes_versions_and_refuses_breaking_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`python -m schemas.release` adds version 2 for a compatible change and nothing for a breaking one."""
    assert len(release.release(tmp_path)[0]) == len(avro_schema.names())
    assert release.release(tmp_path) == ([], [])
    real = avro_schema.text
    fine = mutated("event", lambda fields: fields.append({"name": "added", "type": "string", "default": ""}))
    monkeypatch.setattr(avro_schema, "text", lambda name: fine if name == "event" else real(name))
    assert [file.relative_to(tmp_path).as_posix() for file in release.release(tmp_path)[0]] == [
        "event/2.avsc"
    ]
    broken = mutated("event", lambda fields: fields.append({"name": "added", "type": "string"}))
    monkeypatch.setattr(avro_schema, "text", lambda name: broken if name == "event" else real(name))
    written, refused = release.release(tmp_path)
    assert written == []
    assert refused[0].startswith("Event.added")


@pytest.mark.parametrize("name", avro_schema.names())
def test_record_classes_have_the_fields_of_their_schema(name: str) -> None:
    """A dataclass holds exactly its .avsc's fields, with the same ones optional and the same defaults."""
    schema = {f["name"]: f for f in json.loads(avro_schema.text(name))["fields"]}
    cls = {f.name: f for f in fields(CLASSES[name])}
    assert set(cls) == set(schema)
    assert list(cls)[:2] == ["id", "event"]
    plain = {"string": "str", "long": "int", "int": "int", "boolean": "bool", "bytes": "bytes"}
    for field_name, spec in schema.items():
        assert _annotation(cls[field_name].type) == _python(spec["type"], plain)
        if cls[field_name].default is not MISSING:
            default = cls[field_name].default
            assert (list(default) if isinstance(default, tuple) else default) == spec["default"]


def _annotation(kind: Any) -> str:
    return kind.__name__ if type(kind) is type else str(kind)


def _python(kind: Any, plain: dict[str, str]) -> str:
    """The annotation that a schema's type stands for, as written."""
    kind = avro_schema.plain(kind)
    if isinstance(kind, list):
        return f"{_python(kind[1], plain)} | None"
    if isinstance(kind, dict):
        if kind["type"] == "array":
            return f"tuple[{_python(kind['items'], plain)}, ...]"
        return _python(kind["type"], plain)
    return plain[kind]
