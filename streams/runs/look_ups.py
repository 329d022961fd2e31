"""Requests for old events: whether such a run has ended is known to the store alone (DESIGN 5.9)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from flows.core.lifecycle import RUN_TERMINAL
from schemas.record import RunRequest
from streams.errors import Overload, Transport
from streams.runs.engine import RunEngine

IDS_MAX = 256
TRUSTED_AHEAD_US = 300_000_000
_RETRY_S_MAX = 5.0

log = logging.getLogger(__name__)

Done = Callable[[], None]
Claim = Callable[[Sequence[tuple[RunRequest, bytes]]], Awaitable[None]]


class LookUps:
    """Requests that wait for the store's answer; the partition's other requests do not wait for them.

    Bounded by the records that ownership lets a partition defer. Nothing starts without an answer.
    """

    def __init__(self, engine: RunEngine, claim: Claim) -> None:
        """`claim` makes requests durable and lets them wait for their turn; raises Overload or Transport."""
        self._engine = engine
        self._claim = claim
        self._waiting: dict[str, tuple[RunRequest, bytes, list[Done]]] = {}
        self._arrived = asyncio.Event()
        self.floor_us = 0  # runs of events up to here may have been forgotten before their time

    def needed(self, request: RunRequest) -> bool:
        """Return whether the journal may have forgotten a run of this request.

        The journal keeps an ended run for longer than `dedupe_for_s`, counted from its end, which lies
        after its events, unless their times are not to be trusted.
        """
        now_us, limits = self._engine.clock.now_us(), self._engine.limits
        return not (
            max(now_us - int(limits.dedupe_for_s * 1e6), self.floor_us)
            <= request.event_occurred
            <= min(now_us, request.requested) + TRUSTED_AHEAD_US
        )

    def join(self, run_id: str, done: Done) -> None:
        """Let another record of a request that waits already be done with it."""
        self._waiting[run_id][2].append(done)

    def add(self, request: RunRequest, framed: bytes, done: Done) -> None:
        """Let a request wait; `done` is called once it is claimed or known."""
        self._waiting[request.id] = (request, framed, [done])
        self._arrived.set()

    def __contains__(self, run_id: str) -> bool:
        """Whether a request for this run waits."""
        return run_id in self._waiting

    async def run(self) -> None:
        """Ask and claim, until cancelled."""
        pause_s = self._engine.limits.retry_s
        while True:
            await self._arrived.wait()
            ids = [run_id for run_id, _ in zip(self._waiting, range(IDS_MAX), strict=False)]
            try:
                states = await self._engine.known_runs(ids)
                await self._settle(ids, {i for i in ids if states.get(i) in RUN_TERMINAL})
            except Transport as error:
                log.warning("%d requests for old events wait for the store: %s", len(self._waiting), error)
            except Exception:
                log.exception("%d requests for old events wait after an error of ours", len(self._waiting))
            else:
                pause_s = self._engine.limits.retry_s
                if not self._waiting:
                    self._arrived.clear()
                continue
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _RETRY_S_MAX)

    async def _settle(self, ids: Sequence[str], known: set[str]) -> None:
        fresh = [self._waiting[i][:2] for i in ids if i not in known]
        while fresh:
            try:
                await self._claim(fresh)
            except Overload as error:
                await asyncio.sleep(error.retry_after_s)
            else:
                break
        counts = self._engine.counts
        counts.looked_up += len(ids)
        counts.known += len(known)
        for run_id in ids:
            for done in self._waiting.pop(run_id)[2]:
                done()
