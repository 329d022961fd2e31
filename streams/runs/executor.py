"""Runs flows in a bounded pool of child processes, one run at a time in each.

Nothing that a flow does, hang, exit, crash or print without end, reaches the worker or another run.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress

from streams.errors import Transport
from streams.runs.child_job import Job, JobResult, RunCallbacks
from streams.runs.child_process import ChildProcess

__all__ = ["Executor", "ExecutorStopped", "Job", "JobResult", "RunCallbacks"]

log = logging.getLogger(__name__)
TERM_GRACE_S = 2.0
_PAUSE_S_MIN = 0.1
_PAUSE_S_MAX = 5.0


class ExecutorStopped(Transport):
    """The executor was stopped while the run went on; it is unfinished and will be taken up again."""


class Executor:
    """A pool of `slots` processes, started beforehand and replaced when they die.

    All methods belong to the event loop in which `start` was called.
    """

    def __init__(
        self, *, slots: int, output_bytes: int = 64 << 10, term_grace_s: float = TERM_GRACE_S
    ) -> None:
        """Make an executor.

        Args:
            slots: Runs at a time.
            output_bytes: Of a run's printed output that are kept.
            term_grace_s: Between SIGTERM and SIGKILL of a run that took too long.

        """
        self.slots = slots
        self._output_bytes = output_bytes
        self._term_grace_s = term_grace_s
        self._idle: deque[ChildProcess] = deque()
        self._busy: set[ChildProcess] = set()
        self._files: dict[str, None] = {}
        self._tokens = asyncio.Semaphore(0)  # one for each idle process, perhaps of one that has died since
        self._background: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def start(self) -> None:
        """Start all processes; raises OSError when one cannot be started."""
        started = await asyncio.gather(
            *(ChildProcess.start(output_bytes=self._output_bytes) for _ in range(self.slots))
        )
        for child in started:
            self._welcome(child)

    @property
    def free_slots(self) -> int:
        """How many runs would start at once now."""
        return len(self._idle)

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of all children, the idle ones first."""
        return tuple(child.pid for child in (*self._idle, *self._busy))

    def preload(self, file: str) -> None:
        """Have every process load a flow file now, so that its first run does not wait for its imports."""
        self._files[file] = None
        for child in self._idle:
            child.prepare(file)

    async def run(self, job: Job, callbacks: RunCallbacks) -> JobResult:
        """Return what became of one attempt; waits for a free slot.

        The user's code cannot make it raise. Cancelled, it kills the attempt's process.

        Raises:
            ExecutorStopped: The executor was stopped before the attempt's end.
            Exception: What a callback raised; the attempt's process is killed then.

        """
        result, again = await self._attempt(job, callbacks)
        if again:
            # The process died before the flow's first line, perhaps while it was idle: nobody's run yet.
            result, _ = await self._attempt(job, callbacks)
        return result

    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping

    async def stop(self, grace_s: float) -> None:
        """Start nothing more, let runs end for `grace_s`, then kill what is left."""
        self._stopping = True
        self._tokens.release()
        if self._busy:
            with suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self._quiet.wait()
        for child in (*self._idle, *self._busy):
            child.kill()
        await self._quiet.wait()
        while self._background:
            await asyncio.wait(set(self._background))

    async def _attempt(self, job: Job, callbacks: RunCallbacks) -> tuple[JobResult, bool]:
        """Return the result and whether the process died before the flow began."""
        child = await self._free_child()
        self._busy.add(child)
        self._quiet.clear()
        try:
            result = await child.run(job, callbacks, grace_s=self._term_grace_s)
        finally:
            self._busy.discard(child)
            if not self._busy:
                self._quiet.set()
            if child.alive:
                self._put(child)
            else:
                child.kill()
                self._spawn(self._replace(child))
        died = result.state == "failed" and not child.alive
        if died and self._stopping:
            raise ExecutorStopped(
                f"run {job.run_id} of flow {job.flow} was cut off; it will be taken up again"
            )
        return result, died and result.started_us is None

    async def _free_child(self) -> ChildProcess:
        while True:
            await self._tokens.acquire()
            if self._stopping:
                self._tokens.release()  # the next one waiting shall know too
                raise ExecutorStopped("the executor is stopping; the run will be taken up again")
            if self._idle:
                child = self._idle.popleft()
                if child.alive:
                    return child
                self._spawn(self._replace(child))

    def _put(self, child: ChildProcess) -> None:
        self._idle.append(child)
        self._tokens.release()

    def _welcome(self, child: ChildProcess) -> None:
        for file in self._files:
            child.prepare(file)
        self._put(child)
        self._spawn(self._watch(child))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _watch(self, child: ChildProcess) -> None:
        """Replace a process that has ended while it was idle; a busy one is its run's affair."""
        await asyncio.wait({child.exited})
        if child in self._idle:
            self._idle.remove(child)
            await self._replace(child)

    async def _replace(self, child: ChildProcess) -> None:
        await asyncio.wait({child.exited})
        child.kill()  # what it has started and left behind
        child.close()
        pause_s = _PAUSE_S_MIN
        while not self.stopping():
            try:
                other = await ChildProcess.start(output_bytes=self._output_bytes)
            except OSError:
                log.exception("no process for runs could be started; trying again in %.1f s", pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _PAUSE_S_MAX)
                continue
            if self.stopping():
                await other.stop()
            else:
                self._welcome(other)
            return
