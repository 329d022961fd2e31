"""The worker's handle on one child process."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import Any, Self

from streams.errors import BadInput, Overload, Poison
from streams.runs.child_job import Job, JobResult, RunCallbacks
from streams.runs.child_output import Output
from streams.runs.child_protocol import (
    LENGTH,
    BrokenFrame,
    Message,
    body_bytes,
    event_json,
    event_of,
    job_message,
    pack,
    unpack,
)

START_TIMEOUT_S = 30.0
LAST_FRAMES_S = 0.5  # to read what a process said before it ended
_READ_BYTES = 1 << 16


class ChildProcess:
    """One process with its line and its output; made by `start`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        output_fd: int,
        output: Output,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._output_fd = output_fd
        self._output = output
        self._doomed = False
        self.exited = asyncio.ensure_future(process.wait())
        os.set_blocking(output_fd, False)
        asyncio.get_running_loop().add_reader(output_fd, self._drain)

    @classmethod
    async def start(cls, *, output_bytes: int) -> Self:
        """Return a child that waits for its first job; raises OSError when none can be started."""
        ours, theirs = socket.socketpair()
        output_fd, their_output_fd = os.pipe()
        ours.setblocking(False)
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "streams.runs.child", str(theirs.fileno()), str(os.getpid())),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=their_output_fd,
                stderr=their_output_fd,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # a signal to its group reaches what it has started; Ctrl-C does not
            )
        except BaseException:
            ours.close()
            os.close(output_fd)
            raise
        finally:
            theirs.close()
            os.close(their_output_fd)
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        child = cls(process, reader, writer, output_fd, Output(output_bytes))
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await child._read()
        except (TimeoutError, asyncio.IncompleteReadError, BrokenFrame) as error:
            child.kill()
            await child.exited
            child._drain()
            said = child._output.text().strip()[-2000:]
            child.close()
            raise OSError(
                f"a process for runs did not start ({type(error).__name__}); it said: {said}"
            ) from None
        return child

    @property
    def alive(self) -> bool:
        """Whether the process is there and its line is open."""
        return not (self._doomed or self.exited.done() or self._reader.at_eof())

    @property
    def pid(self) -> int:
        """Its process id, which is its group's."""
        return self._process.pid

    def prepare(self, file: str) -> None:
        """Have it load a flow file before the first run that needs it."""
        self._writer.write(pack({"kind": "prepare", "file": file}))

    async def run(self, job: Job, callbacks: RunCallbacks, *, grace_s: float) -> JobResult:
        """Return what became of one attempt; afterwards `alive` says whether the process can take another.

        Raises what a callback raised. Cancelled, it kills the process.
        """
        self._drain()
        self._output.clear()
        self._writer.write(pack(job_message(job)))
        said = _Conversation(self, callbacks)
        conversation = asyncio.ensure_future(said.talk())
        try:
            await asyncio.wait(
                {conversation, self.exited}, timeout=job.timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            timed_out = not conversation.done() and not self.exited.done()
            if timed_out:
                self._signal(signal.SIGTERM)
            if not conversation.done():
                await asyncio.wait({conversation}, timeout=grace_s if timed_out else LAST_FRAMES_S)
            last = await conversation if conversation.done() else {}
            if not last and not timed_out:  # the line broke: how the process ended is known in a moment
                await asyncio.wait({self.exited}, timeout=LAST_FRAMES_S)
            if not last or timed_out:
                self.kill()
            return self._told(job, last, said.started_us, timed_out=timed_out)
        finally:
            if not conversation.done():
                self.kill()
                conversation.cancel()
                await asyncio.wait({conversation})
            elif conversation.cancelled() or conversation.exception() is not None:
                self.kill()

    def kill(self) -> None:
        """End the process and all it has started, at once."""
        self._doomed = True
        self._signal(signal.SIGKILL)

    async def stop(self) -> None:
        """End the process and wait until it is gone."""
        self.kill()
        await self.exited
        self.close()

    def close(self) -> None:
        """Give back the line and the output."""
        if self._output_fd >= 0:
            asyncio.get_running_loop().remove_reader(self._output_fd)
            os.close(self._output_fd)
            self._output_fd = -1
        self._writer.close()

    async def _read(self) -> Message:
        header = await self._reader.readexactly(LENGTH.size)
        return unpack(await self._reader.readexactly(body_bytes(header)))

    def answer(self, message: Message) -> None:
        """Send an answer."""
        self._writer.write(pack({"kind": "answer", **message}))

    def _told(self, job: Job, last: Message, started_us: int | None, *, timed_out: bool) -> JobResult:
        """Return the result of a conversation that ended with `last`, or without last words."""
        self._drain()
        output = self._output.text()
        state, error = last.get("state"), last.get("error")
        if timed_out and state not in {"succeeded", "failed"}:
            state = "timed_out"
            text = f"flow {job.flow} took longer than {job.timeout_s:g} s and was stopped"
            error = {"type": "TimedOut", "message": text, "traceback": (error or {}).get("traceback", "")}
        elif state not in {"succeeded", "failed", "parked"}:
            state, error = "failed", self._death(job)
        return JobResult(
            state=state,
            result=last.get("result"),
            error=json.dumps({**error, "output": output}) if error else None,
            output=output,
            started_us=started_us,
            ended_us=last.get("ended_us") or time.time_ns() // 1000,
        )

    def _death(self, job: Job) -> dict[str, Any]:
        code = self._process.returncode
        if code is None:
            how = "broke off the line to its worker"
        elif code >= 0:
            how = f"ended by itself with exit code {code} (os._exit?)"
        else:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            how = f"was ended by {name}"
            if name == "SIGKILL":
                how += ", perhaps by the system for want of memory"
        text = f"the process of flow {job.flow}, run {job.run_id}, {how}; its output may tell why"
        return {"type": "ProcessDied", "message": text, "traceback": ""}

    def _drain(self) -> None:
        """Take in all that was printed; called whenever there is something, and before a result is made."""
        for _ in range(64):  # 4 MiB a turn: the loop has others to serve
            if self._output_fd < 0:
                return
            try:
                data = os.read(self._output_fd, _READ_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            if not data:
                asyncio.get_running_loop().remove_reader(self._output_fd)
                return
            self._output.add(data)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


class _Conversation:
    """What is said from job to result."""

    def __init__(self, child: ChildProcess, callbacks: RunCallbacks) -> None:
        self._child = child
        self._callbacks = callbacks
        self.started_us: int | None = None

    async def talk(self) -> Message:
        """Return the result message; an empty one when the line ends before it."""
        try:
            async with asyncio.TaskGroup() as calls:
                while True:
                    try:
                        message = await self._child._read()  # noqa: SLF001 - one concept, two classes
                    except (asyncio.IncompleteReadError, BrokenFrame, OSError):
                        return {}
                    match message["kind"]:
                        case "result":
                            return message
                        case "started":
                            self.started_us = message["at_us"]
                            await self._callbacks.on_started(message["at_us"])
                        case "note":
                            await self._callbacks.task_started(
                                task=message["task"],
                                task_key=message["task_key"],
                                attempt=message["attempt"],
                                at_us=message["at_us"],
                            )
                        case "call":
                            calls.create_task(self._call(message))
        except BaseExceptionGroup as group:
            raise _first(group) from None

    async def _call(self, message: Message) -> None:
        number = message["number"]
        if message["name"] == "task_finished":
            await self._callbacks.task_finished(
                task=message["task"],
                task_key=message["task_key"],
                attempt=message["attempt"],
                state=message["state"],
                result=message["result"],
                error=message["error"],
                at_us=message["at_us"],
            )
            self._child.answer({"number": number})
            return
        try:
            event = await self._callbacks.emit(event_of(message["event"]))
        except (BadInput, Poison, Overload) as error:
            self._child.answer({"number": number, "problem": str(error)})
        else:
            self._child.answer({"number": number, "event": event_json(event)})


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first exception of a group that is none itself."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
