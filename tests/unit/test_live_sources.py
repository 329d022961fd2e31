"""A running gateway follows ensue.toml: sources come, change and go without a restart."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from streams.errors import BadInput
from streams.gateway.intake import Intake
from streams.source_settings import Source
from streams.wiring import live_sources
from streams.wiring.live_sources import LiveSources
from tests.gateway_case import GatewayCase

pytestmark = pytest.mark.unit
SOURCES: TypeAdapter[dict[str, Source]] = TypeAdapter(dict[str, Source])
BODY = b'{"Records": []}'


class Watching:
    """A watch that notes when it runs; `failing` makes it end with an error."""

    def __init__(self, log: list[str], name: str, *, failing: bool) -> None:
        self._log, self._name, self._failing = log, name, failing

    async def run(self) -> None:
        """Run until cancelled."""
        self._log.append(f"start {self._name}")
        if self._failing:
            raise OSError("the disk is gone")
        try:
            await asyncio.Event().wait()
        finally:
            self._log.append(f"end {self._name}")


class Following:
    """Live sources over a file that the test writes."""

    def __init__(self, folder: Path, sources: Mapping[str, object]) -> None:
        self.toml = folder / "ensue.toml"
        self.watched: list[str] = []
        self.failing = False
        self.wanted: Callable[[], Mapping[str, Source]] = lambda: SOURCES.validate_python(sources)
        self.write(sources)
        self.live = LiveSources(self.wanted(), toml=self.toml, read=self.read)
        self.case = GatewayCase(hooks=self.live)

    def write(self, sources: Mapping[str, object]) -> None:
        """Have the file say this from now on."""
        self.wanted = lambda: SOURCES.validate_python(sources)
        self.touch()

    def read(self) -> Mapping[str, Source]:
        """What the file says."""
        return self.wanted()

    def touch(self) -> None:
        """Change the file."""
        before = self.toml.read_text() if self.toml.exists() else ""
        self.toml.write_text(before + "#")

    def watch(self, name: str, source: Source, _: Intake) -> Watching | None:
        """A watch for folders."""
        return Watching(self.watched, name, failing=self.failing) if source.kind == "folder" else None

    async def status(self, name: str) -> int:
        """What a delivery is answered."""
        answer = await self.case.request("POST", f"/hooks/{name}", BODY, {"content-type": "application/json"})
        return answer.status_code

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow meanwhile."""
        task = asyncio.create_task(self.live.run(self.case.served.intake, self.watch))
        await settle()
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def settle() -> None:
    """Let it look some times."""
    await asyncio.sleep(0.2)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_sources, "LOOK_EVERY_S", 0.02)


async def test_sources_come_and_go_without_a_restart(tmp_path: Path) -> None:
    """A source that is added answers, one that is removed is unknown again."""
    following = Following(tmp_path, {})
    async with following.running():
        assert await following.status("inbox") == 404
        following.write({"inbox": {"kind": "s3"}})
        await settle()
        assert await following.status("inbox") == 202
        following.write({"inbox": {"kind": "s3", "token": "x"}})
        await settle()
        assert await following.status("inbox") == 401
        following.write({})
        await settle()
        assert await following.status("inbox") == 404


async def test_watches_start_and_stop_with_their_source(tmp_path: Path) -> None:
    """A changed folder is watched anew, an unchanged one is left alone."""
    one = {"kind": "folder", "path": "a"}
    following = Following(tmp_path, {"one": one})
    async with following.running():
        following.write({"one": one, "two": {"kind": "folder", "path": "b"}})
        await settle()
        assert following.watched == ["start one", "start two"]
        following.write({"one": one, "two": {"kind": "folder", "path": "c"}})
        await settle()
        following.write({"one": one})
        await settle()
        assert following.watched == ["start one", "start two", "end two", "start two", "end two"]
    assert following.watched[-1] == "end one"


async def test_a_broken_file_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The sources stay, one sentence tells what is wrong; once mended the file counts."""
    following = Following(tmp_path, {"inbox": {"kind": "s3"}})
    async with following.running():
        with caplog.at_level(logging.ERROR):
            following.write({"inbox": {"kind": "s4"}})
            await settle()
        assert await following.status("inbox") == 202
        (told,) = [record.message for record in caplog.records]
        assert told.startswith("ensue.toml: inbox")
        assert "stays as it was" in told
        following.write({"other": {"kind": "s3"}})
        await settle()
        assert (await following.status("inbox"), await following.status("other")) == (404, 202)


async def test_a_missing_file_removes_no_source(tmp_path: Path) -> None:
    """An editor that replaces the file takes it away for a moment."""
    following = Following(tmp_path, {"inbox": {"kind": "s3"}})
    async with following.running():
        following.wanted = dict
        following.toml.unlink()
        await settle()
        assert await following.status("inbox") == 202
        following.touch()
        await settle()
        assert await following.status("inbox") == 404


async def test_one_wrong_source_keeps_no_other_back(tmp_path: Path) -> None:
    """A secrets file that is not there yet is waited for; the source beside it is served."""
    following = Following(tmp_path, {})
    secret = tmp_path / "secret"
    async with following.running():
        following.write({"late": {"kind": "s3", "secrets_file": str(secret)}, "good": {"kind": "s3"}})
        await settle()
        assert (await following.status("late"), await following.status("good")) == (404, 202)
        secret.write_text("x\n")
        await settle()
        assert await following.status("late") == 401


async def test_a_watch_that_fails_ends_the_whole(tmp_path: Path) -> None:
    """Whoever runs the sources hears of it."""
    following = Following(tmp_path, {"one": {"kind": "folder", "path": "a"}})
    following.failing = True
    with pytest.raises(OSError, match="the disk is gone"):
        await following.live.run(following.case.served.intake, following.watch)


def test_a_source_that_cannot_be_made_is_named_at_the_start(tmp_path: Path) -> None:
    """A missing secrets file at the start is a person's mistake."""
    with pytest.raises(BadInput, match=r"source inbox: .* cannot be read"):
        Following(tmp_path, {"inbox": {"kind": "s3", "secrets_file": str(tmp_path / "none")}})
