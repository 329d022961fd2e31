"""Every command explains itself and fails in one line."""

import socket
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
        (("up", "bad.py"), 2, "is no Python"),
        (("runs", "--state", "bogus"), 2, "no state of a run is called 'bogus'; there are"),
        (("verdicts", "--state", "bogus"), 2, "no verdict is called 'bogus'"),
        (("emit", "a.b", "--resource", "r", "--label", "resource.id=x"), 2, "--resource does"),
    ],
)
def test_mistakes_are_told_in_one_line_with_their_code(
    arguments: tuple[str, ...], code: int, said: str, tmp_path: Path
) -> None:
    """A mistake ends with its exit code and a sentence on stderr, never with a traceback."""
    (tmp_path / "bad.py").write_text("def broken(:\n", "utf-8")
    done = ensue(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert not (tmp_path / ".ensue").exists()
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_bad_setting_is_named(tmp_path: Path) -> None:
    """A mistake in ensue.toml names the setting and the reason."""
    (tmp_path / "ensue.toml").write_text("[kafka]\npartitions = 0\n", "utf-8")
    done = ensue("status", cwd=tmp_path)
    assert done.returncode == 2
    assert "kafka.partitions" in done.stderr


def test_a_broken_toml_file_is_named(tmp_path: Path) -> None:
    """What is no TOML is told in one line that names the file."""
    (tmp_path / "ensue.toml").write_text("[sources.inbox\n", "utf-8")
    done = ensue("status", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("ensue: ensue.toml is not TOML")
    assert "Traceback" not in done.stderr


def test_every_mistake_in_the_settings_is_told(tmp_path: Path) -> None:
    """A misspelt key is named beside the one that is missing."""
    (tmp_path / "ensue.toml").write_text('[sources.inbox]\nkind = "folder"\npth = "x"\n', "utf-8")
    done = ensue("status", cwd=tmp_path)
    assert done.returncode == 2
    assert "path: field required" in done.stderr
    assert "pth: extra inputs" in done.stderr


def test_a_port_that_was_asked_for_is_not_changed(tmp_path: Path) -> None:
    """An explicit port that is taken ends the start; nothing listens elsewhere by surprise."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = ensue("up", "--port", str(taken.getsockname()[1]), cwd=tmp_path)
    assert done.returncode == 2
    assert "is taken" in done.stderr


def test_help_comes_without_loading_clients() -> None:
    """`ensue --help` loads neither Kafka, Faust nor ClickHouse."""
    code = (
        "import sys, streams.cli.app; "
        "print([m for m in ('confluent_kafka', 'faust', 'clickhouse_connect', 'chdb') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
