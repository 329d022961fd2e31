"""The sources at work: as ensue.toml and the environment name them, followed while the gateway runs."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from streams.errors import BadInput, EnsueError
from streams.gateway.intake import Intake
from streams.settings import Settings
from streams.source_settings import HttpSourceSettings, Source
from streams.sources.http_source import HttpSource
from streams.sources.kinds import hook_source, lacking
from streams.sources.mapping import Wording
from streams.sources.secrets import CurrentTrust

_log = logging.getLogger(__name__)
LOOK_EVERY_S = 1.0
_Stamp = tuple[int, int, int] | None


class Watch(Protocol):
    """A source that looks by itself: a folder, a queue, a topic."""

    async def run(self) -> None:
        """Watch until cancelled."""
        ...


MakeWatch = Callable[[str, Source, Intake], Watch | None]


class LiveSources(Mapping[str, HttpSource]):
    """Sources at /hooks/NAME by name; beside them a task for each one that watches.

    A changed ensue.toml counts within a second. What is wrong in it changes nothing: the sources stay as
    they were, and a sentence in the log says what to mend. A source whose settings are the same is left
    alone, so that its connections and counters go on.

    Args:
        sources: What is configured at the start.
        toml: The file that is looked at.
        read: Reads all sources anew; raises what pydantic and tomllib raise.

    Raises BadInput for a source that cannot be made at the start.

    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        *,
        toml: Path | None = None,
        read: Callable[[], Mapping[str, Source]] | None = None,
    ) -> None:
        self._toml = toml or Path(str(Settings.model_config.get("toml_file", "ensue.toml")))
        self._read = read or (lambda: Settings().sources)
        self._stamp = self._stamped()
        self._said = ""
        self.configured: dict[str, Source] = {}
        self._hooks: dict[str, HttpSource] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        for name, source in sources.items():
            hook = _hook(name, source)
            if hook is not None:
                self._hooks[name] = hook
            self.configured[name] = source

    def __getitem__(self, name: str) -> HttpSource:
        """Return the source behind /hooks/NAME."""
        return self._hooks[name]

    def __iter__(self) -> Iterator[str]:
        """Yield names of sources behind /hooks."""
        return iter(tuple(self._hooks))

    def __len__(self) -> int:
        """Return how many sources are behind /hooks."""
        return len(self._hooks)

    async def run(self, intake: Intake, make_watch: MakeWatch) -> None:
        """Run what watches and follow the file until cancelled; raises what a watch ends with."""
        try:
            for name, source in self.configured.items():
                self._begin(name, source, intake, make_watch)
            while True:
                # A source that nobody watches would be missed by nobody: whoever runs us must hear of it.
                await self._sleep_unless_one_ends()
                if self._stamped() != self._stamp or self._said:
                    await self._follow(intake, make_watch)
        finally:
            for name in tuple(self._tasks):
                await self._end(name)

    async def _sleep_unless_one_ends(self) -> None:
        if not self._tasks:
            await asyncio.sleep(LOOK_EVERY_S)
            return
        done, _ = await asyncio.wait(
            self._tasks.values(), timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED
        )
        for name in [name for name, task in self._tasks.items() if task in done]:
            task = self._tasks.pop(name)
            error = None if task.cancelled() else task.exception()
            if error is not None:
                raise error

    async def _follow(self, intake: Intake, make_watch: MakeWatch) -> None:
        stamp = self._stamped()
        if stamp is None and self._stamp is not None:
            self._complain(f"{self._toml} is gone")
            return
        try:
            wanted = await asyncio.to_thread(self._read)
        except (ValidationError, ValueError, OSError) as error:
            # tomllib's error is a ValueError, too. Settings hold no secrets that a message could quote.
            self._stamp = stamp
            self._complain(_told(error))
            return
        self._stamp = stamp
        problems = [
            problem
            for name in sorted(self.configured.keys() | wanted.keys())
            if (problem := await self._change(name, wanted.get(name), intake, make_watch))
        ]
        if problems:
            self._complain("; ".join(problems))
        else:
            self._said = ""

    async def _change(
        self, name: str, source: Source | None, intake: Intake, make_watch: MakeWatch
    ) -> str | None:
        """Bring one source up to date; return what is wrong with it, when something is."""
        if source == self.configured.get(name):
            return None
        if source is None:
            self._hooks.pop(name, None)
            await self._end(name)
            del self.configured[name]
            _log.info("source %s was removed", name)
            return None
        try:
            hook = _hook(name, source)
            known = name in self.configured
            await self._end(name)
            self._begin(name, source, intake, make_watch)
        except (EnsueError, OSError) as error:
            return str(error)
        if hook is not None:
            self._hooks[name] = hook
        else:
            self._hooks.pop(name, None)
        self.configured[name] = source
        _log.info("source %s of kind %s was %s", name, source.kind, "changed" if known else "added")
        return None

    def _begin(self, name: str, source: Source, intake: Intake, make_watch: MakeWatch) -> None:
        watch = make_watch(name, source, intake)
        if watch is not None:
            self._tasks[name] = asyncio.create_task(watch.run(), name=f"source {name}")

    async def _end(self, name: str) -> None:
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _complain(self, problem: str) -> None:
        """Say a problem once; while there is one, the file is read again each second."""
        if problem != self._said:
            _log.error("%s; what it concerns stays as it was until it is mended", problem)
        self._said = problem

    def _stamped(self) -> _Stamp:
        try:
            found = self._toml.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def _hook(name: str, source: Source) -> HttpSource | None:
    """Return the source behind /hooks/NAME, None for one that is not behind it; raises BadInput."""
    if not isinstance(source, HttpSourceSettings):
        return None
    try:
        trust = CurrentTrust(name, source)
        wording = Wording(event=source.event, resource=source.resource, mapping=source.mapping)
        hook = hook_source(source.kind, name, trust, wording)
    except KeyError:
        raise BadInput(f"source {name}: kind {source.kind} is not served at /hooks") from None
    except BadInput as error:
        told = str(error)
        raise BadInput(told if told.startswith("source ") else f"source {name}: {told}") from None
    missing = lacking(source.kind, trust())
    if missing:
        _log.warning("source %s of kind %s: %s", name, source.kind, missing)
    return hook


def check_source(name: str, source: Source) -> None:
    """Make the source as the gateway would; raises BadInput that says what is wrong with it."""
    _hook(name, source)


def _told(error: Exception) -> str:
    if isinstance(error, ValidationError):
        places = (".".join(map(str, one["loc"])) + ": " + one["msg"] for one in error.errors())
        return f"ensue.toml: {'; '.join(places)}"
    return f"ensue.toml: {error}"
