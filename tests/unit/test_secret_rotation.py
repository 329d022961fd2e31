"""Secrets in a file: several valid at once, the rotated one only until its end."""

import stat
from pathlib import Path

import pytest

from streams.errors import BadInput
from streams.source_settings import HttpSourceSettings
from streams.sources.secret_file import Secret, finished, parse, rotated, valid, write
from streams.sources.secrets import CurrentTrust

pytestmark = pytest.mark.unit
NOW_S = 1_800_000_000.0
HOUR_S = 3600.0


class At:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> float:
        """Now."""
        return self.now_s


def trust(path: Path, clock: At) -> CurrentTrust:
    """The trust over a file and one secret of the settings."""
    settings = HttpSourceSettings.model_validate({"kind": "s3", "secrets_file": path, "token": "fixed"})
    return CurrentTrust("inbox", settings, now_s=clock)


def test_two_are_valid_while_rotated_then_one(tmp_path: Path) -> None:
    """The new one counts first, the old one until its end by the clock, though nobody touches the file."""
    path, clock = tmp_path / "secrets" / "inbox", At()
    write(path, [Secret(value=b"old")])
    current = trust(path, clock)
    assert current().secrets == (b"old", b"fixed")
    write(path, rotated(parse(path.read_bytes()), b"new", now_s=NOW_S, keep_s=HOUR_S))
    assert current().secrets == (b"new", b"old", b"fixed")
    clock.now_s = NOW_S + HOUR_S - 1
    assert current().secrets == (b"new", b"old", b"fixed")
    clock.now_s = NOW_S + HOUR_S
    assert current().secrets == (b"new", b"fixed")


def test_a_second_rotation_lengthens_no_life() -> None:
    """What was to end earlier ends then; what has ended is gone from the file."""
    first = rotated([Secret(value=b"a")], b"b", now_s=NOW_S, keep_s=HOUR_S)
    second = rotated(first, b"c", now_s=NOW_S + 60, keep_s=10 * HOUR_S)
    assert [(one.value, one.until_s) for one in second] == [
        (b"c", None),
        (b"b", NOW_S + 60 + 10 * HOUR_S),
        (b"a", NOW_S + HOUR_S),
    ]
    third = rotated(second, b"d", now_s=NOW_S + 2 * HOUR_S, keep_s=HOUR_S)
    assert [one.value for one in third] == [b"d", b"c", b"b"]


def test_nothing_is_kept_when_asked_so() -> None:
    """A stolen secret is out at once, by --keep 0 or by --finish."""
    assert rotated([Secret(value=b"a")], b"b", now_s=NOW_S, keep_s=0) == (Secret(value=b"b"),)
    assert finished(rotated([Secret(value=b"a")], b"b", now_s=NOW_S, keep_s=60)) == (Secret(value=b"b"),)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """Secrets with spaces, tabs and equals signs keep their bytes; the file is its owner's alone."""
    path = tmp_path / "secrets" / "one"
    secrets = (Secret(value=b"a b\tc="), Secret(value="ä until".encode(), until_s=NOW_S + 0.25))
    write(path, secrets)
    assert parse(path.read_bytes()) == secrets
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [one.name for one in path.parent.iterdir()] == ["one"]


def test_an_end_that_cannot_be_read_is_over() -> None:
    """A mistake in a date never makes a secret valid for ever."""
    assert valid(parse(b"a\tuntil tomorrow\nb\n\n"), NOW_S) == (Secret(value=b"b"),)


def test_a_secret_is_never_shown() -> None:
    """Neither in a log nor in an error."""
    assert "hidden" not in repr(Secret(value=b"hidden"))


def test_a_token_of_the_address_is_read_again(tmp_path: Path) -> None:
    """One is valid at a time: the file's; an empty one never lets everybody in."""
    path = tmp_path / "token"
    write(path, [Secret(value=b"one")])
    settings = HttpSourceSettings.model_validate({"kind": "azure", "query_token_file": path})
    current = CurrentTrust("inbox", settings)
    assert current().query_token == "one"
    write(path, rotated(parse(path.read_bytes()), b"two", now_s=NOW_S, keep_s=0))
    assert current().query_token == "two"
    path.write_bytes(b"\n")
    assert current().query_token == "two"
    with pytest.raises(BadInput, match="is empty"):
        CurrentTrust("inbox", settings)
    path.unlink()
    assert current().query_token == "two"
