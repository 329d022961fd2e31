"""The start archive with the real JVM, in a cache of the test's own."""

import os
import time
from pathlib import Path

import pytest

from streams.local.broker import LocalBroker
from streams.local.jars import cache_folder, ensure_jars, pinned
from streams.local.ports import choose_port

pytestmark = [pytest.mark.soak, pytest.mark.timeout(180)]  # three starts of the JVM


@pytest.fixture
def own_cache(broker_parts: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder with the jars (linked) and no archive."""
    jars = ensure_jars()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = cache_folder(pinned())
    folder.mkdir(parents=True)
    for jar in jars:
        try:
            os.link(jar, folder / jar.name)
        except OSError:
            (folder / jar.name).write_bytes(jar.read_bytes())
    return folder


def test_an_archive_is_made_once_and_a_damaged_one_harms_nobody(own_cache: Path, tmp_path: Path) -> None:
    """The first run leaves an archive, the second starts with it, a damaged one is put away."""
    broker = LocalBroker(tmp_path / "data", choose_port())
    times_s = []
    for run in ("records", "uses", "damaged"):
        archives = list(own_cache.glob("*.aot"))
        if run == "damaged":
            archives[0].write_bytes(archives[0].read_bytes()[:100_000])
        began = time.monotonic()
        broker.start()
        times_s.append(round(time.monotonic() - began, 2))
        broker.stop()
        assert not list(own_cache.glob("*.part"))
        assert len(list(own_cache.glob("*.aot"))) == (0 if run == "damaged" else 1), run
    print("seconds to start with format, with archive, with a damaged one:", times_s)
    assert times_s[1] < times_s[0]
