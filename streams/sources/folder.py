"""Sources of kind `folder`: the bucket of a laptop.

Notifications are only hints where to look. What counts is the comparison with the ledger, so a hint that
never came, a restart and an overflow cost time and no event.
"""

import asyncio
import contextlib
import logging
import os
import socket
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from watchfiles import awatch

from streams.clock import Clock, SystemClock
from streams.errors import EnsueError
from streams.source_settings import FolderSource
from streams.sources.folder_event import file_event
from streams.sources.folder_scan import Change, FolderScan
from streams.sources.ledger import Ledger
from streams.sources.ports import Publisher
from streams.sources.settled import Settling

_log = logging.getLogger(__name__)
_LOOK_AT_ONCE = 500
_HINTS_MAX = 100_000  # beyond it the folder is walked instead
_DEBOUNCE_MS, _STEP_MS = 50, 10
_FIRST_HINT_MS = 500  # a watch that saw nothing reports so often that it is alive
_UNSETTLED_EVERY_S = 0.025
_UNSETTLED_AT_ONCE = 200
_WALK_EVERY_S = 30.0
_WALK_SHARE_MAX = 20  # walk at most a twentieth of the time
_RETRY_S, _RETRY_MAX_S = 0.1, 5.0


class FolderWatch:
    """Watches one folder and publishes what happens to its files, each change once.

    Args:
        name: The source's name; its ledger is `DATA/sources/NAME.sqlite`.
        settings: Which folder, and which names are ignored.
        publisher: Where events go.
        data: The data folder.
        host: This machine's name in resource ids.
        clock: For times of deletions.

    """

    def __init__(
        self,
        name: str,
        settings: FolderSource,
        *,
        publisher: Publisher,
        data: Path,
        host: str = "",
        clock: Clock | None = None,
    ) -> None:
        self._name = name
        self._publisher = publisher
        self._clock = clock or SystemClock()
        self._host = host or socket.gethostname()
        self._root = os.path.realpath(settings.path)
        self._bucket = settings.bucket or Path(self._root).name
        self._ledger = Ledger(data / "sources" / f"{name}.sqlite")
        self._scan = FolderScan(
            os.fsencode(self._root), settings.ignore, self._ledger, Settling(settings.settle_ms)
        )
        self._hints: set[bytes] = set()
        self._unsettled: set[bytes] = set()
        self._hinted = asyncio.Event()
        self._walk_due = False
        self._walk_at_s = float("inf")  # the watch asks for the first walk

    async def run(self) -> None:
        """Watch until cancelled; a folder or a broker that is away is waited for."""
        watching = asyncio.create_task(self._watch())
        try:
            while True:
                try:
                    await self._turn()
                except (OSError, sqlite3.Error) as error:
                    _log.warning("folder source %s: %s; looking again", self._name, error)
                    self._walk_due = True
                    await asyncio.sleep(1.0)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            self._ledger.close()

    async def _watch(self) -> None:
        """Collect hints; whenever a watch begins, what came before it is found by a walk."""
        while True:
            fresh = True
            try:
                async for changes in awatch(
                    self._root,
                    watch_filter=None,
                    debounce=_DEBOUNCE_MS,
                    step=_STEP_MS,
                    rust_timeout=_FIRST_HINT_MS,
                    yield_on_timeout=True,
                    ignore_permission_denied=True,
                ):
                    self._hint({path for _, path in changes}, walk=fresh)
                    fresh = False
            except (OSError, ExceptionGroup) as error:
                # A name that is not UTF-8 ends the watch; the walk sees it and goes on.
                causes = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
                _log.warning("folder source %s: the watch of %s ended: %s", self._name, self._root, causes)
            self._hint((), walk=True)
            await asyncio.sleep(0.2)

    def _hint(self, paths: Iterable[str], *, walk: bool) -> None:
        for path in paths:
            relative = os.path.relpath(path, self._root)
            if relative == ".":
                walk = True
            elif not relative.startswith("../"):
                self._hints.add(os.fsencode(relative))
        if len(self._hints) > _HINTS_MAX:
            self._hints.clear()
            walk = True
        self._walk_due = self._walk_due or walk
        if walk or self._hints:
            self._hinted.set()

    async def _turn(self) -> None:
        """Wait for something to do, and do it."""
        loop = asyncio.get_running_loop()
        wait_s = max(0.0, self._walk_at_s - loop.time())
        if self._unsettled:
            # Many files at once are asked less often, so that asking stays cheap.
            wait_s = min(wait_s, _UNSETTLED_EVERY_S * max(1.0, len(self._unsettled) / _UNSETTLED_AT_ONCE))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._hinted.wait()
        self._hinted.clear()
        look = self._hints | self._unsettled
        self._hints, self._unsettled = set(), set()
        await self._look(iter(look))
        if self._walk_due or loop.time() >= self._walk_at_s:
            self._walk_due = False
            began_s = loop.time()
            await self._walk()
            ended_s = loop.time()
            self._walk_at_s = ended_s + max(_WALK_EVERY_S, _WALK_SHARE_MAX * (ended_s - began_s))

    async def _walk(self) -> None:
        await self._look(self._scan.walk())
        gone = await asyncio.to_thread(lambda: list(self._scan.missing()))
        await self._look(iter(gone))

    async def _look(self, paths: Iterator[bytes]) -> None:
        """Look at all of these paths, and at what lies in those that are folders."""
        waiting = [paths]
        while waiting:
            part = await asyncio.to_thread(_part, waiting[-1])
            if not part:
                waiting.pop()
                continue
            found = await asyncio.to_thread(self._scan.look, part)
            self._unsettled.update(found.unsettled)
            waiting.extend(self._scan.walk(folder) for folder in found.folders)
            for path in found.undecodable:
                await self._refuse(path)
            if found.changes:
                await self._report(found.changes)

    async def _report(self, changes: list[Change]) -> None:
        """Publish, again and again until acknowledged, then note it."""
        now_us = self._clock.now_us()
        events = [
            file_event(
                change.kind,
                source=self._name,
                host=self._host,
                bucket=self._bucket,
                root=self._root,
                key=change.path.decode(),
                version=change.version,
                now_us=now_us,
            )
            for change in sorted(changes, key=_when)
        ]
        wait_s = _RETRY_S
        while True:
            try:
                await self._publisher.publish(events)
                break
            except EnsueError as error:
                _log.warning("folder source %s: %d events wait: %s", self._name, len(events), error)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, _RETRY_MAX_S)
        done = [(c.path, None if c.kind == "deleted" else c.version) for c in changes]
        await asyncio.to_thread(self._ledger.acknowledge, done)

    async def _refuse(self, path: bytes) -> None:
        error = (
            f"folder source {self._name}: the name {path!r} in {self._root} is not UTF-8, "
            "so no event can name it; rename the file"
        )
        _log.warning("%s", error)
        try:
            await self._publisher.bury(path, source=self._name, reason="undecodable_name", error=error)
        except EnsueError as failure:
            _log.warning("folder source %s: %s; it is tried again", self._name, failure)
            return  # the next walk finds it again
        await asyncio.to_thread(self._ledger.refuse, path)


def _part(paths: Iterator[bytes]) -> list[bytes]:
    return list(islice(paths, _LOOK_AT_ONCE))


def _when(change: Change) -> int:
    return change.version.ctime_ns
