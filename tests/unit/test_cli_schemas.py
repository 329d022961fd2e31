"""`ensue schemas` against a registry in memory: exit codes, texts, JSON documents."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from streams.cli import schemas
from streams.cli.app import app
from streams.errors import BadInput, EnsueError
from streams.registry.app import build_app
from streams.registry.client import HttpRegistry
from streams.registry.event_schemas import EventSchemas
from streams.wiring import event_types
from tests.registry_in_memory import InProcess, registry

pytestmark = pytest.mark.unit
SCHEMA = {"type": "record", "name": "Paid", "fields": [{"name": "id", "type": "long"}]}
MODEL = """
from pydantic import BaseModel
class Paid(BaseModel):
    id: int
    note: str | None = None
N = 1
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder, and a registry behind the commands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENSUE_REGISTRY__URL", "http://127.0.0.1:4290")
    with registry() as made:
        client = HttpRegistry("http://127.0.0.1:4290", transport=InProcess(build_app(made.service)))
        monkeypatch.setattr(event_types, "event_schemas", lambda _: EventSchemas(client, "ensue."))
        yield tmp_path


def ensue(*arguments: str) -> Result:
    """Run `ensue schemas …`."""
    return CliRunner().invoke(app, ["schemas", *arguments])


def document(*arguments: str) -> Any:
    """The JSON that a command prints."""
    done = ensue(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_register_list_show(here: Path) -> None:
    """An Avro file, then a model as the next version; both are listed and shown with their columns."""
    (here / "paid.avsc").write_text(json.dumps(SCHEMA))
    (here / "typed_models.py").write_text(MODEL)
    assert document("register", "order.paid", "paid.avsc") == {
        "event": "order.paid",
        "version": 1,
        "id": 1,
        "subject": "ensue.event.order.paid-value",
        "new": True,
    }
    done = ensue("register", "order.paid", "typed_models.py:Paid")
    assert (done.exit_code, done.stdout) == (0, "order.paid: version 2 registered (schema id 2)\n")
    assert "was registered before" in ensue("register", "order.paid", "paid.avsc").stdout
    (row,) = document("list")
    assert (row["event"], row["version"], row["versions"], row["view"]) == (
        *("order.paid", 2),
        *([1, 2], "events_order_paid"),
    )
    assert "events_order_paid" in ensue("list").stdout
    shown = document("show", "order.paid")
    assert [(f["name"], f["column"], f["sql"], f["required"]) for f in shown["fields"]] == [
        ("id", "payload_id", "Int64", True),
        ("note", "note", "Nullable(String)", False),
    ]
    assert document("show", "order.paid", "--version", "1")["schema"] == SCHEMA
    assert "payload_id" in ensue("show", "order.paid").stdout


def test_nothing_found_is_three(here: Path) -> None:
    """No schema at all, none of this name, no such version: exit code 3."""
    assert ensue("list").exit_code == 3
    assert ensue("show", "order.paid").exit_code == 3
    (here / "paid.avsc").write_text(json.dumps(SCHEMA))
    document("register", "order.paid", "paid.avsc")
    assert ensue("show", "order.paid", "--version", "9").exit_code == 3


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("missing.avsc", "missing.avsc cannot be read"),
        ("missing.py:Paid", "cannot be read"),
        ("typed_more.py:N", "has no pydantic model 'N'"),
        ("typed_more.py:Nowhere", "has no pydantic model 'Nowhere'"),
        ("bad.avsc", "not an Avro schema"),
        ("typed_more.py:Odd", "Odd.x: complex has no place in a schema"),
    ],
)
def test_bad_input_says_what_and_where(here: Path, source: str, reason: str) -> None:
    """What cannot be registered raises BadInput, which is exit code 2, with file, field and reason."""
    (here / "bad.avsc").write_text('{"type": "record"}')
    stem = f"typed_{here.name}"  # a module's name is taken for good
    source = source.replace("typed_more", stem)
    odd = "class Odd(BaseModel):\n    x: complex\n    model_config = {'arbitrary_types_allowed': True}\n"
    (here / f"{stem}.py").write_text(MODEL + odd)
    done = ensue("register", "order.paid", source)
    assert isinstance(done.exception, BadInput)
    assert reason in str(done.exception)


def test_without_a_registry(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing runs: the sentence says how to start one."""
    monkeypatch.delenv("ENSUE_REGISTRY__URL")
    done = ensue("list")
    assert isinstance(done.exception, EnsueError)
    assert "ensue up" in str(done.exception)
    assert schemas.COLUMNS[0] == "event"
