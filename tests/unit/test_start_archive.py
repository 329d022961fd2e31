"""The start archive: recorded once, used after, never in the way."""

from pathlib import Path

import pytest

from streams.local.java import StartArchive

pytestmark = pytest.mark.unit


@pytest.fixture
def jar(tmp_path: Path) -> Path:
    """A jar."""
    path = tmp_path / "a.jar"
    path.write_bytes(b"classes")
    return path


def archive(jar: Path) -> StartArchive:
    """The archive of one broker that starts."""
    return StartArchive(jar.parent, Path("/java/bin/java"), [jar])


def recorded(jar: Path) -> StartArchive:
    """An archive after a clean first run."""
    made = archive(jar)
    (flag,) = made.flags()
    Path(flag.removeprefix("-XX:AOTCacheOutput=")).write_bytes(b"archive")
    made.settle(clean=True, jvm_output="")
    return made


def test_the_first_clean_run_records_and_later_ones_use_it(jar: Path) -> None:
    """A clean end puts the archive in place."""
    made = recorded(jar)
    assert made.path.read_bytes() == b"archive"
    again = archive(jar)
    assert again.flags() == [f"-XX:AOTCache={made.path}"]
    assert not again.recording


def test_a_killed_recording_leaves_nothing(jar: Path) -> None:
    """After a kill there is no archive, no part, and the next start records."""
    made = archive(jar)
    (flag,) = made.flags()
    assert made.recording
    Path(flag.removeprefix("-XX:AOTCacheOutput=")).write_bytes(b"half")
    made.settle(clean=False, jvm_output="")
    assert not list(jar.parent.glob("*.aot*"))
    assert archive(jar).flags()[0].startswith("-XX:AOTCacheOutput=")


def test_parts_of_dead_owners_are_removed(jar: Path) -> None:
    """A recording whose owner was killed leaves 70 MB under a name that nobody uses again."""
    (jar.parent / "broker-0123456789abcdef.4711.part").write_bytes(b"half")
    first = archive(jar)
    first.flags()
    assert not list(jar.parent.glob("*.part"))


def test_only_one_records_at_a_time(jar: Path) -> None:
    """A second broker meanwhile starts plain."""
    first = archive(jar)
    first.flags()
    assert archive(jar).flags() == []
    first.settle(clean=False, jvm_output="")


def test_a_refused_archive_is_removed(jar: Path) -> None:
    """What the JVM could not use goes, so that the next start records anew."""
    made = recorded(jar)
    user = archive(jar)
    user.flags()
    user.settle(
        clean=True, jvm_output="[error][aot] An error has occurred while processing the AOT cache. Run"
    )
    assert not made.path.exists()


def test_another_jar_is_another_archive(jar: Path) -> None:
    """A replaced jar changes the name, and recording again removes the old archive."""
    old = recorded(jar).path
    jar.write_bytes(b"other classes")
    new = recorded(jar).path
    assert new != old
    assert not old.exists()
