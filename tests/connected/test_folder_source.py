"""A watched folder: every change of a file once, whole, over bursts and restarts."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from schemas.event import Event
from streams.errors import Transport
from streams.source_settings import FolderSource
from streams.sources.folder import FolderWatch

pytestmark = pytest.mark.connected
HOST = "here"


class Published:
    """Keeps events; fails as long as told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.at_s: list[float] = []
        self.buried: list[bytes] = []
        self.away = False

    async def publish(self, events: Sequence[Event]) -> None:
        """Keep events."""
        if self.away:
            raise Transport("the broker is away")
        self.events += events
        self.at_s += [time.monotonic()] * len(events)

    async def bury(self, raw: bytes, *, source: str, reason: str, error: str) -> str:
        """Keep what is unusable."""
        self.buried.append(raw)
        return ""

    def names(self) -> list[tuple[str, str]]:
        """Change and key of every event."""
        return [(e.event.rpartition(".")[2], e.resource["key"]) for e in self.events]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder."""
    made = tmp_path / "landing"
    made.mkdir()
    return made


@asynccontextmanager
async def watching(folder: Path, published: Published, **options: object) -> AsyncIterator[None]:
    """Run a watch of the folder, its ledger beside it; ready once the first walk is over."""
    settings = FolderSource.model_validate({"kind": "folder", "path": folder, **options})
    watch = FolderWatch("laptop", settings, publisher=published, data=folder.parent, host=HOST)
    task = asyncio.create_task(watch.run())
    try:
        await until(lambda: watch._walk_at_s != float("inf") or published.away)
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - it looks at what other threads and processes did
            await asyncio.sleep(0.01)


async def quiet() -> None:
    """Long enough for anything that should not come."""
    await asyncio.sleep(0.5)


async def test_a_files_life_is_three_events(folder: Path) -> None:
    """Created, updated, deleted: one event each, with labels, place and the time of the change."""
    published = Published()
    file = folder / "sub" / "a b.csv"
    async with watching(folder, published):
        file.parent.mkdir()
        file.write_text("one")
        await until(lambda: len(published.events) == 1)
        file.write_text("three")
        await until(lambda: len(published.events) == 2)
        file.unlink()
        await until(lambda: len(published.events) == 3)
        await quiet()
    key = "sub/a b.csv"
    assert published.names() == [("created", key), ("updated", key), ("deleted", key)]
    created, updated, _ = published.events
    assert created.resource_id == f"file://{HOST}{file}"
    assert {k: created.resource[k] for k in ("provider", "bucket", "key", "size", "path")} == {
        "provider": "folder",
        "bucket": "landing",
        "key": key,
        "size": "3",
        "path": str(file),
    }
    assert created.resource["etag"] != updated.resource["etag"]
    assert abs(created.occurred.timestamp() - time.time()) < 30
    assert len({event.id for event in published.events}) == 3


async def test_a_file_is_reported_when_its_writer_has_closed_it(folder: Path) -> None:
    """While another process writes, however slowly, nothing is reported; then once, with the whole size."""
    published = Published()
    code = (
        "import sys,time\nf=open(sys.argv[1],'w')\n"
        "for _ in range(12): f.write('x'); f.flush(); time.sleep(.1)"
    )
    async with watching(folder, published):
        writer = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(folder / "slow.csv"))
        await writer.wait()
        await until(lambda: len(published.events) == 1)
        await quiet()
    assert published.names() == [("created", "slow.csv")]
    assert published.events[0].resource["size"] == "12"


async def test_a_writer_that_pauses_and_never_writes_again_is_seen_at_its_close(folder: Path) -> None:
    """A file kept open after its last write is reported when it is closed, though nothing is written then."""
    published = Published()
    async with watching(folder, published):
        with (folder / "held.csv").open("w") as file:
            file.write("x")
            file.flush()
            await quiet()
            assert published.events == []
        closed_s = time.monotonic()
        await until(lambda: len(published.events) == 1)
        assert published.at_s[0] - closed_s < 2


async def test_from_close_to_event_takes_little(folder: Path) -> None:
    """The middle of 20 delays from close to event is a fraction of a second (some 30 ms when undisturbed)."""
    published = Published()
    delays: list[float] = []
    async with watching(folder, published):
        for number in range(20):
            (folder / f"{number}.csv").write_text("x")
            closed_s = time.monotonic()
            await until(lambda expected=number + 1: len(published.events) == expected)  # type: ignore[misc]
            delays.append(published.at_s[-1] - closed_s)
    print(f"close to event: p50 {sorted(delays)[10] * 1000:.0f} ms, max {max(delays) * 1000:.0f} ms")
    assert sorted(delays)[10] < 0.5


async def test_write_and_rename_reports_the_final_name_only(folder: Path) -> None:
    """Temporary names are ignored; replacing a file by renaming is an update of the final name."""
    published = Published()
    async with watching(folder, published):
        for text in ("one", "two"):
            before = len(published.events)
            (folder / "a.csv.tmp").write_text(text)
            (folder / "a.csv.tmp").rename(folder / "a.csv")
            await until(lambda before=before: len(published.events) > before)  # type: ignore[misc]
            await quiet()
        (folder / ".git").mkdir()
        (folder / ".git" / "x").write_text("")
        await quiet()
    assert published.names() == [("created", "a.csv"), ("updated", "a.csv")]


async def test_moved_files_are_a_deletion_and_a_creation_each_time(folder: Path) -> None:
    """A file taken out and brought back unchanged is created anew, with another id."""
    published = Published()
    file, outside = folder / "a.csv", folder.parent / "a.csv"
    file.write_text("x")
    async with watching(folder, published):
        await until(lambda: len(published.events) == 1)
        file.rename(outside)
        await until(lambda: len(published.events) == 2)
        outside.rename(file)
        await until(lambda: len(published.events) == 3)
    assert [name for name, _ in published.names()] == ["created", "deleted", "created"]
    assert len({event.id for event in published.events}) == 3


async def test_nothing_is_missed_or_repeated_over_a_restart(folder: Path) -> None:
    """What changed while nobody watched is found at the start; what was reported is not reported again."""
    first, second = Published(), Published()
    for name in ("kept", "changed", "gone"):
        (folder / name).write_text("x")
    async with watching(folder, first):
        await until(lambda: len(first.events) == 3)
    (folder / "changed").write_text("xx")
    (folder / "gone").unlink()
    (folder / "new").mkdir()
    (folder / "new" / "file").write_text("x")
    async with watching(folder, second):
        await until(lambda: len(second.events) == 3)
        await quiet()
    assert sorted(second.names()) == [("created", "new/file"), ("deleted", "gone"), ("updated", "changed")]


async def test_a_repeat_after_a_lost_ledger_has_the_same_ids(folder: Path) -> None:
    """Killed between acknowledgement and ledger, the same version is published again under the same id."""
    first, second = Published(), Published()
    (folder / "a").write_text("x")
    async with watching(folder, first):
        await until(lambda: len(first.events) == 1)
    for file in (folder.parent / "sources").iterdir():
        file.unlink()
    async with watching(folder, second):
        await until(lambda: len(second.events) == 1)
    assert first.events[0].id == second.events[0].id


async def test_events_wait_for_a_broker_that_is_away(folder: Path) -> None:
    """Files that come while Kafka is away are reported once it is back, each once."""
    published = Published()
    published.away = True
    (folder / "a").write_text("x")
    async with watching(folder, published):
        await quiet()
        (folder / "b").write_text("x")
        await quiet()
        published.away = False
        await until(lambda: len(published.events) == 2)
        await quiet()
    assert sorted(published.names()) == [("created", "a"), ("created", "b")]


async def test_a_burst_of_5000_files_is_complete(folder: Path) -> None:
    """5,000 files in a burst, half of them in new subfolders, are 5,000 events."""
    published = Published()
    async with watching(folder, published):
        code = (
            "import os,sys\nos.chdir(sys.argv[1])\nfor n in range(5000):\n"
            "    d = '' if n % 2 else f'd{n % 100}/'\n    d and os.makedirs(d, exist_ok=True)\n"
            "    open(f'{d}{n}.csv', 'w').write('x')"
        )
        writer = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(folder))
        await writer.wait()
        await until(lambda: len(published.events) >= 5000, 60)
        await quiet()
    assert len(published.events) == len({event.id for event in published.events}) == 5000
    assert {name for name, _ in published.names()} == {"created"}


async def test_links_lead_nowhere(folder: Path) -> None:
    """Neither linked files nor files below linked folders are reported; a pipe does not hold the watch up."""
    published = Published()
    secret = folder.parent / "elsewhere"
    secret.mkdir()
    (secret / "secret").write_text("x")
    (folder / "link").symlink_to(secret / "secret")
    async with watching(folder, published):
        (folder / "fresh").symlink_to(secret / "secret")
        (folder / "linked").symlink_to(secret)
        os.mkfifo(folder / "pipe")
        (secret / "secret").write_text("xx")
        (folder / "real").write_text("x")
        await until(lambda: len(published.events) == 1)
        await quiet()
    assert published.names() == [("created", "real")]


async def test_a_name_that_is_no_text_is_a_dead_letter_and_holds_nothing_up(folder: Path) -> None:
    """A name that is not UTF-8 goes to the dead letters once; files after it are reported."""
    published = Published()
    async with watching(folder, published):
        os.close(os.open(os.fsencode(folder) + b"/\xff.csv", os.O_CREAT | os.O_WRONLY))
        await until(lambda: len(published.buried) == 1)
        (folder / "after").write_text("x")
        await until(lambda: len(published.events) == 1)
    async with watching(folder, published):
        await quiet()
    assert published.buried == [b"\xff.csv"]
    assert published.names() == [("created", "after")]


async def test_files_that_vanish_again_harm_nobody(folder: Path) -> None:
    """Files made and removed at once may be missed as changes of no effect, and never stop the watch."""
    published = Published()
    async with watching(folder, published):
        script = "for n in $(seq 300); do echo > $n; rm $n; done"
        await (await asyncio.create_subprocess_exec("sh", "-c", script, cwd=folder)).wait()
        (folder / "after").write_text("x")
        await until(lambda: ("created", "after") in published.names())
        await quiet()
    left = {key: change for change, key in published.names()}  # the last change of each
    assert left.pop("after") == "created"
    assert set(left.values()) <= {"deleted"}


async def test_a_folder_that_is_not_mounted_deletes_nothing(folder: Path) -> None:
    """An empty folder in the place of the known one is not a mass deletion."""
    first, second = Published(), Published()
    (folder / "a").write_text("x")
    async with watching(folder, first):
        await until(lambda: len(first.events) == 1)
    os.rename(folder, folder.parent / "unmounted")  # noqa: PTH104 - pathlib's is refused in coroutines
    os.mkdir(folder)  # noqa: PTH102 - likewise
    async with watching(folder, second):
        await quiet()
    assert second.events == []


async def test_without_leases_quiet_time_decides(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel knows no leases, a file counts once it was quiet for settle_ms."""
    monkeypatch.setattr("streams.sources.settled.sys.platform", "other")
    published = Published()
    async with watching(folder, published, settle_ms=300):
        with (folder / "a").open("w") as file:
            for _ in range(5):
                file.write("x")
                file.flush()
                await asyncio.sleep(0.1)
            assert published.events == []
        await until(lambda: len(published.events) == 1)
    assert published.events[0].resource["size"] == "5"
