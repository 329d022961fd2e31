"""Every command explains itself and fails in one line."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from streams.cli.app import app

pytestmark = pytest.mark.unit
GROUP = typer.main.get_command(app)
COMMANDS = sorted(GROUP.commands)  # type: ignore[attr-defined]
WITHOUT_EXAMPLE = {
    "broker",
    "registry",
    "store",
    "gateway",
    "router",
    "sink",
    "worker",
    "status",
    "down",
    "doctor",
}


def ensue(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the console script in an empty folder."""
    return subprocess.run(
        [sys.executable, "-m", "streams.cli.main", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=60,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    """A command says what it does, and shows an example where it takes arguments."""
    text = GROUP.commands[name].help or ""  # type: ignore[attr-defined]
    assert len(text) > 20
    assert name in WITHOUT_EXAMPLE or f"ensue {name}" in text


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("status",), 3, "nothing runs in"),
        (("runs",), 1, "no store is known"),
        (("runs", "--since", "later"), 2, "is no time"),
        (("emit", "a.b", "--resource", "r", "--payload", "[1]"), 2, "must be a JSON object"),
        (("emit", "a.b", "--resource", "r"), 1, "no gateway is known"),
        (("why", "abc"), 1, "no store is known"),
        (("sql", "SELECT 1", "--json", "--csv"), 2, "exclude each other"),
        (("nonsense",), 2, "No such command"),
        (("up", "missing.py"), 2, "is not a file"),
    ],
)
def test_mistakes_are_told_in_one_line_with_their_code(
    arguments: tuple[str, ...], code: int, said: str, tmp_path: Path
) -> None:
    """A mistake ends with its exit code and a sentence on stderr, never with a traceback."""
    done = ensue(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_bad_setting_is_named(tmp_path: Path) -> None:
    """A mistake in ensue.toml names the setting and the reason."""
    (tmp_path / "ensue.toml").write_text("[kafka]\npartitions = 0\n", "utf-8")
    done = ensue("status", cwd=tmp_path)
    assert done.returncode == 2
    assert "kafka.partitions" in done.stderr


def test_help_comes_without_loading_clients() -> None:
    """`ensue --help` loads neither Kafka, Faust nor ClickHouse."""
    code = (
        "import sys, streams.cli.app; "
        "print([m for m in ('confluent_kafka', 'faust', 'clickhouse_connect', 'chdb') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
