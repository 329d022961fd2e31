"""`ensue dead-letters`: what is shown of bytes, how a body is edited, and how it refuses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from streams.cli import dead_letters
from streams.cli.app import app
from streams.cli.operator import who
from streams.errors import BadInput, EnsueError
from streams.local.operator_secret import operator_secret, read_operator_secret

pytestmark = pytest.mark.unit
ROOT = Path(__file__).parents[2]
ID = "11111111-2222-8333-8444-555555555555"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder without a system."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ENSUE_")]:
        monkeypatch.delenv(name)


def ensue(*arguments: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(app, ["dead-letters", *arguments])


def test_bytes_are_shown_as_text_or_as_numbers() -> None:
    """Text as it is, control characters named and not obeyed, everything else in hexadecimal."""
    assert dead_letters._shown(b'{"a": "\xc3\xa4"}\n') == '{"a": "ä"}\n'
    assert dead_letters._shown(b"\x1b[2Jx") == "\\x1b[2Jx"
    shown = dead_letters._shown(b"\xff\x00Avro" + bytes(14))
    assert shown.splitlines()[0].startswith("00000000  ff 00 41 76 72 6f 00")
    assert shown.splitlines()[0].endswith("..Avro..........")
    assert shown.splitlines()[1].startswith("00000010  00 00 00 00")


def test_an_editor_makes_the_new_body(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever $EDITOR leaves counts, byte for byte; an editor that fails changes nothing."""
    script = tmp_path / "editor.py"
    script.write_text("import sys; open(sys.argv[-1], 'ab').write(b'\\xff}')", "utf-8")
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"{sys.executable} {script}")
    assert dead_letters._edited(b"{\r\n") == b"{\r\n\xff}"
    script.write_text("raise SystemExit(3)", "utf-8")
    with pytest.raises(EnsueError, match="ended with 3; nothing was changed"):
        dead_letters._edited(b"{")
    monkeypatch.setenv("EDITOR", "no-such-editor")
    with pytest.raises(EnsueError, match="set EDITOR"):
        dead_letters._edited(b"{")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("list", "--stage", "cellar"), "no stage is called 'cellar'; there are door"),
        (("list", "--reason", "unknown"), "no reason is called 'unknown'"),
        (("list", "--state", "gone"), "there are open, retried, dropped"),
        (("list", "--since", "later"), "is no time"),
        (("edit", ID, "--body", "text"), "write @FILE"),
        (("list",), "no store is known"),
        (("retry", ID), "no store is known"),
    ],
)
def test_mistakes_are_sentences(arguments: tuple[str, ...], said: str) -> None:
    """A wrong filter names what there is."""
    done = ensue(*arguments)
    assert isinstance(done.exception, EnsueError)
    assert said in str(done.exception)


def test_help_of_each_command_shows_an_example() -> None:
    """So that nobody must guess."""
    for command in ("list", "show", "edit", "retry", "drop"):
        assert f"ensue dead-letters {command}" in ensue(command, "--help").stdout


def test_the_operators_secret_is_drawn_once_and_its_owners_alone(tmp_path: Path) -> None:
    """Two gateways that start together have one; who cannot read it is told where to run the command."""
    data = tmp_path / "data"
    code = (
        "import sys, pathlib; from streams.local.operator_secret import operator_secret; "
        "print(operator_secret(pathlib.Path(sys.argv[1])))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, data], cwd=ROOT, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    drawn = {one.communicate()[0].decode().strip() for one in running}
    assert drawn == {operator_secret(data)} == {read_operator_secret(data)}
    assert (data / "operator.secret").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in data.iterdir()] == ["operator.secret"]
    with pytest.raises(BadInput, match="on the gateway's machine"):
        read_operator_secret(tmp_path / "elsewhere")
    assert "@" in who()
