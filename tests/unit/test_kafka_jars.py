"""Kafka's jars: pinned, verified, resumable. What is fetched comes from memory here, not the network."""

import hashlib
import io
import sys
from pathlib import Path

import pytest

from streams.errors import Poison, Transport
from streams.local import jars as module
from streams.local.jars import Jar, JarList, cache_folder, cache_root, ensure_jars, pinned
from streams.local.progress import download_progress

pytestmark = pytest.mark.unit

CONTENTS = {"org.a:one:1": b"first jar", "org.b:two:2": b"second jar"}


def a_list() -> JarList:
    """Two small jars with their true sums."""
    return JarList(
        kafka="0.0.1",
        jars=tuple(
            Jar(coordinate=name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
            for name, data in CONTENTS.items()
        ),
    )


class Repository:
    """Stands for jgo: hands out what it holds and counts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held = dict(CONTENTS)
        self.asked: list[str] = []
        self.failures_left = 0
        monkeypatch.setattr(module, "_resolve", self.resolve)
        monkeypatch.setattr(module, "_RETRY_WAIT_S", 0)

    def resolve(self, jar: Jar, place: Path) -> Path:
        self.asked.append(jar.coordinate)
        if self.failures_left:
            self.failures_left -= 1
            raise ConnectionError("the line is dead")
        place.mkdir(parents=True)
        path = place / jar.file_name
        path.write_bytes(self.held[jar.coordinate])
        return path


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository with the two jars."""
    return Repository(monkeypatch)


def test_the_pinned_list_is_complete() -> None:
    """Every jar has a sum and a size, names are unique, and the log's binding is among them."""
    found = pinned()
    names = [jar.file_name for jar in found.jars]
    assert found.kafka == "4.4.0"
    assert "kafka_2.13-4.4.0.jar" in names
    assert any(name.startswith("log4j-slf4j-impl-") for name in names)
    assert len(set(names)) == len(names) == 45
    assert all(len(jar.sha256) == 64 and jar.bytes > 0 for jar in found.jars)


def test_the_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """XDG_CACHE_HOME moves the cache; without it it is ~/.cache/ensue."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder(a_list()) == tmp_path / "ensue" / "kafka-0.0.1"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_root() == Path.home() / ".cache" / "ensue"


def test_complete_jars_are_not_fetched_again(repository: Repository, tmp_path: Path) -> None:
    """The second call asks for nothing and gives the same sorted paths."""
    paths = ensure_jars(a_list(), tmp_path)
    assert [path.name for path in paths] == ["one-1.jar", "two-2.jar"]
    assert ensure_jars(a_list(), tmp_path) == paths
    assert sorted(repository.asked) == sorted(CONTENTS)


@pytest.mark.parametrize("damage", [b"", b"first ja", b"FIRST jar"])
def test_a_damaged_jar_is_fetched_again(repository: Repository, tmp_path: Path, damage: bytes) -> None:
    """Empty, cut short or changed in place: it is replaced, and only it."""
    ensure_jars(a_list(), tmp_path)
    repository.asked.clear()
    (tmp_path / "one-1.jar").write_bytes(damage)
    ensure_jars(a_list(), tmp_path)
    assert repository.asked == ["org.a:one:1"]
    assert (tmp_path / "one-1.jar").read_bytes() == CONTENTS["org.a:one:1"]


def test_what_a_killed_download_left_is_removed(repository: Repository, tmp_path: Path) -> None:
    """Half files lie under other names in a folder that the next download clears."""
    left = tmp_path / "incoming" / "one-1.jar-1"
    left.mkdir(parents=True)
    (left / "one-1.jar").write_bytes(b"half")
    ensure_jars(a_list(), tmp_path)
    assert not (tmp_path / "incoming").exists()


def test_a_failed_line_is_tried_again_then_told(repository: Repository, tmp_path: Path) -> None:
    """Two failures are overcome; lasting failure names the jar, the cause and three remedies."""
    repository.failures_left = 2
    ensure_jars(a_list(), tmp_path)
    (tmp_path / "one-1.jar").unlink()
    repository.failures_left = 99
    with pytest.raises(Transport) as told:
        ensure_jars(a_list(), tmp_path)
    text = str(told.value)
    for part in (
        "one-1.jar",
        "org.a:one:1",
        "the line is dead",
        "mirror",
        str(tmp_path),
        "run the command again",
    ):
        assert part in text
    assert (tmp_path / "two-2.jar").is_file()


def test_a_jar_with_another_sum_is_never_installed(repository: Repository, tmp_path: Path) -> None:
    """What a repository changed is refused with both sums."""
    repository.held["org.b:two:2"] = b"second jaR"
    with pytest.raises(Poison, match=r"two-2\.jar.*is pinned"):
        ensure_jars(a_list(), tmp_path)
    assert not (tmp_path / "two-2.jar").exists()


def test_a_cache_that_cannot_be_written_is_told(repository: Repository, tmp_path: Path) -> None:
    """The remedy names XDG_CACHE_HOME."""
    (tmp_path / "file").write_text("in the way", "utf-8")
    with pytest.raises(Transport, match="XDG_CACHE_HOME"):
        ensure_jars(a_list(), tmp_path / "file" / "below")


def test_progress_is_lines_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most five lines, the last one complete."""
    told = io.StringIO()
    monkeypatch.setattr(sys, "stderr", told)
    with download_progress("Kafka", 100 << 20) as advance:
        for _ in range(100):
            advance(1 << 20)
    lines = told.getvalue().splitlines()
    assert len(lines) == 5
    assert lines[-1] == "Kafka: 100 of 100 MiB"
