"""`ensue sources` in a folder of its own: what it writes, what it tells, and how it refuses."""

import json
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from streams.cli.app import app
from streams.cli.source_file import TOML, add, remove
from streams.cli.sources import period_s
from streams.errors import BadInput, EnsueError
from streams.settings import Settings
from streams.sources.secret_file import parse

pytestmark = pytest.mark.unit
MINE = """# my installation
port = 4300  # above the others

[kafka]
# three brokers
partitions = 64

[sources.inbox] # the folder
kind = "folder"
path = "in"

# how rows are stored
[sink]
batch_ms = 100
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder without a system."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ENSUE_")]:
        monkeypatch.delenv(name)


def ensue(*arguments: str, stdin: str | None = None) -> Result:
    """Run a command."""
    return CliRunner().invoke(app, ["sources", *arguments], input=stdin)


def ok(*arguments: str, stdin: str | None = None) -> str:
    """Run a command that must work; return what it printed."""
    done = ensue(*arguments, stdin=stdin)
    assert done.exit_code == 0, done.output
    return done.stdout


def toml() -> dict[str, Any]:
    """What ensue.toml says."""
    return tomllib.loads(TOML.read_text("utf-8"))


def secrets_of(name: str) -> list[bytes]:
    """The secrets in a source's file."""
    return [one.value for one in parse(Path(".ensue/secrets", name).read_bytes())]


def test_a_source_is_added_with_a_secret_that_is_shown_once() -> None:
    """The toml names the file, the file is its owner's alone, and no later command shows the secret."""
    told = json.loads(ok("add", "shop", "--kind", "github", "--silence-after", "1d", "--json"))
    (secret,) = secrets_of("shop")
    assert told["secret"].encode() == secret
    assert len(secret) >= 32
    assert told["url"] == "http://127.0.0.1:4288/hooks/shop"
    assert toml()["sources"]["shop"] == {
        "kind": "github",
        "silence_after_s": 86_400.0,
        "secrets_file": ".ensue/secrets/shop",
    }
    assert stat.S_IMODE(Path(".ensue/secrets/shop").stat().st_mode) == 0o600
    assert stat.S_IMODE(Path(".ensue/secrets").stat().st_mode) == 0o700
    for command in (("show", "shop"), ("show", "shop", "--json"), ("list",), ("list", "--json")):
        assert told["secret"] not in ensue(*command).output
    assert Settings().sources["shop"].kind == "github"


def test_what_to_configure_is_printed_for_a_person() -> None:
    """Address, header and secret, with the public name where one is given."""
    said = ok("add", "in", "--kind", "bearer", "--public-url", "https://events.example.com/")
    assert "address: https://events.example.com/hooks/in" in said
    assert f"Authorization: Bearer {secrets_of('in')[0].decode()}" in said
    said = ok("add", "blobs", "--kind", "azure")
    assert f"/hooks/blobs?token={secrets_of('blobs')[0].decode()}" in said


def test_a_persons_file_keeps_its_comments() -> None:
    """Adding and removing changes only the source's own lines."""
    TOML.write_text(MINE, "utf-8")
    add(TOML, "shop", {"kind": "hmac", "hmac": {"header": "X-Sig"}, "topic_arns": []})
    assert TOML.read_text("utf-8").startswith(MINE)
    assert toml()["sources"]["shop"]["hmac"] == {"header": "X-Sig"}
    assert remove(TOML, "inbox") == {"kind": "folder", "path": "in"}
    left = TOML.read_text("utf-8")
    for comment in ("# my installation", "# above the others", "# three brokers", "# how rows are stored"):
        assert comment in left
    assert set(toml()["sources"]) == {"shop"}
    remove(TOML, "shop")
    mine = MINE.replace('[sources.inbox] # the folder\nkind = "folder"\npath = "in"\n\n', "")
    assert TOML.read_text("utf-8").split() == mine.split()


@pytest.mark.parametrize(
    "text",
    [
        'sources = {a = {kind = "s3"}}\nport = 1\n',
        'sources.a.kind = "s3"\n',
        '[sources]\n[sources.a]\nkind = "s3"\n[sources.a.hmac]\nheader = "x"\n[sink]\n',
        '[sources.a]\nkind = "folder"\nignore = [\n["x"],\n]\n',
        '["sources"."a"]\nkind = "s3"',
    ],
)
def test_every_way_to_write_a_table_is_edited(text: str) -> None:
    """What cannot be edited line by line is written anew, with the same meaning."""
    TOML.write_text(text, "utf-8")
    before = toml()
    add(TOML, "b", {"kind": "s3", "tolerance_s": 5.0})
    assert toml() == {**before, "sources": {**before["sources"], "b": {"kind": "s3", "tolerance_s": 5.0}}}
    remove(TOML, "a")
    assert toml()["sources"] == {"b": {"kind": "s3", "tolerance_s": 5.0}}
    with pytest.raises(BadInput, match="there is a source b already"):
        add(TOML, "b", {"kind": "s3"})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("Shop", "--kind", "github"), "is no name of a source"),
        (("a__b", "--kind", "github"), "is no name of a source"),
        (("../x", "--kind", "github"), "is no name of a source"),
        (("gateway", "--kind", "github"), "events of the gateway itself"),
        (("shop", "--kind", "githb"), "these are known: azure, basic"),
        (("shop", "--kind", "s3", "--set", "tolerance_s=-1"), "source shop: tolerance_s: "),
        (("shop", "--kind", "s3", "--set", "colour=red"), "source shop: colour: extra inputs"),
        (("shop", "--kind", "s3", "--set", "colour"), "write FIELD=VALUE"),
        (("shop", "--kind", "s3", "--set", "token=hidden"), "does not belong into ensue.toml"),
        (("shop", "--kind", "folder"), "source shop: path: field required"),
        (("shop", "--kind", "hmac", "--set", "hmac={headr='x'}"), "hmac.headr does not exist"),
        (("shop", "--kind", "github", "--set", "event={{ nope( }}"), "is not a template"),
        (("shop", "--kind", "github", "--silence-after", "soon"), "is no period"),
        (("shop", "--kind", "stripe"), "provider's secret"),
        (("shop", "--kind", "folder", "--set", "path=in", "--secret-env", "X"), "takes no secret"),
        (("shop", "--kind", "github", "--secret-env", "NOT_SET"), "is empty or has several lines"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_left(arguments: tuple[str, ...], said: str) -> None:
    """The person reads which field and why; neither a table nor a secret is written."""
    done = ensue("add", *arguments)
    assert isinstance(done.exception, BadInput)
    assert said in str(done.exception)
    assert not TOML.exists()
    assert not Path(".ensue/secrets").exists() or list(Path(".ensue/secrets").iterdir()) == []


def test_a_secret_is_taken_from_input_or_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never from an argument: other users of the machine read those."""
    ok("add", "pay", "--kind", "stripe", "--secret-stdin", stdin="whsec_abc\n")
    assert secrets_of("pay") == [b"whsec_abc"]
    monkeypatch.setenv("THEIRS", "signing")
    said = ok("add", "chat", "--kind", "slack", "--secret-env", "THEIRS")
    assert secrets_of("chat") == [b"signing"]
    assert "signing" not in said


def test_a_rotated_secret_stays_valid_and_then_is_finished() -> None:
    """New first, the old one with its end; --finish ends it."""
    ok("add", "shop", "--kind", "github")
    (old,) = secrets_of("shop")
    told = json.loads(ok("rotate", "shop", "--keep", "2h", "--json"))
    assert told["old_valid_for_s"] == 7200
    assert secrets_of("shop") == [told["secret"].encode(), old]
    assert "valid until" in ok("show", "shop")
    assert json.loads(ok("rotate", "shop", "--finish", "--json"))["ended"] == 1
    assert secrets_of("shop") == [told["secret"].encode()]
    ok("add", "inbox", "--kind", "folder", "--set", "path=in")
    assert "has no secrets file" in str(ensue("rotate", "inbox").exception)
    ok("add", "blobs", "--kind", "azure")
    (first,) = secrets_of("blobs")
    assert "the old address is refused" in ok("rotate", "blobs")
    assert first not in secrets_of("blobs")


def test_a_removed_source_takes_its_secret_along() -> None:
    """A file that a person put elsewhere stays."""
    ok("add", "shop", "--kind", "github")
    mine = Path("mine.txt")
    mine.write_text("x\n")
    ok("add", "other", "--kind", "github", "--set", "secrets_file=mine.txt")
    ok("remove", "shop")
    ok("remove", "other")
    assert toml().get("sources", {}) == {}
    assert not Path(".ensue/secrets/shop").exists()
    assert mine.exists()
    assert ensue("remove", "shop").exit_code == 3


def test_nothing_found_ends_with_three(monkeypatch: pytest.MonkeyPatch) -> None:
    """No source at all, and none of that name."""
    assert ensue("list").exit_code == 3
    assert ensue("list", "--json").exit_code == 3
    for command in (("show", "x"), ("test", "x"), ("rotate", "x"), ("backfill", "x", "--since", "1d")):
        assert ensue(*command).exit_code == 3
    monkeypatch.setenv("ENSUE_SOURCES", '{"env": {"kind": "s3"}}')
    assert "in the environment" in str(ensue("remove", "env").exception)


def test_without_a_system_the_list_shows_what_is_configured() -> None:
    """What cannot be asked is left open and told on standard error, not invented."""
    ok("add", "shop", "--kind", "github")
    done = ensue("list", "--json")
    (row,) = json.loads(done.stdout)
    assert (row["name"], row["kind"], row["events_24h"], row["unauthenticated"]) == (
        "shop",
        "github",
        None,
        None,
    )
    assert "no store is known" in done.stderr
    assert isinstance(ensue("test", "shop").exception, EnsueError)
    assert isinstance(ensue("backfill", "shop", "--since", "1d").exception, EnsueError)


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("15m", 900), ("2h", 7200), ("1d", 86_400)])
def test_periods_are_seconds(text: str, seconds: float) -> None:
    """As in --since; a date is none."""
    assert period_s(text, "--keep") == seconds
    with pytest.raises(BadInput):
        period_s("2026-11-22", "--keep")


def test_help_of_each_command_shows_an_example() -> None:
    """So that nobody must guess."""
    for command in ("list", "show", "add", "test", "rotate", "remove", "backfill"):
        assert f"ensue sources {command}" in ensue(command, "--help").stdout
