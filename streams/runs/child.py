"""The process that runs the user's code, one run at a time: `python -P -m streams.runs.child FD PARENT_PID`.

Started and replaced by the executor. Whatever happens in it, a crash, an exit, a hang, hits one run.
"""

import ctypes
import faulthandler
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from flows import call, failure, loader, result
from flows.context import running
from flows.errors import LoadError
from flows.flow_decorator import Flow
from streams.runs.child_job import Job
from streams.runs.child_link import Link, end_all
from streams.runs.child_protocol import Message, job_of
from streams.runs.child_run import ChildRun, now_us

_PR_SET_PDEATHSIG = 1
_OOM_SCORE = "500"  # short of memory, the kernel shall take a run and not the worker, broker or store
_LAST_WORDS_S = 1.0


class Stopped(BaseException):
    """The worker's SIGTERM: no Exception, so that the user's handlers do not swallow it."""


class _OtherVersion(Exception):
    """The file on disk is not the one that the run was requested for."""


def main(arguments: list[str]) -> int:
    """Serve the worker until it goes."""
    descriptor, parent = int(arguments[0]), int(arguments[1])
    _die_with(parent)
    faulthandler.enable()
    signal.signal(signal.SIGTERM, _stop)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    link = Link(socket.socket(fileno=descriptor))
    link.send({"kind": "ready"})
    files: dict[str, loader.Loaded] = {}
    own = os.getpid()
    try:
        while True:
            order = link.next_order()
            if order["kind"] == "prepare":
                with suppress(LoadError):  # the run that needs the file will tell
                    files[order["file"]] = loader.load(order["file"])
                continue
            told = _attempt(job_of(order), files, link)
            if os.getpid() != own:
                os._exit(0)  # a process that the user's code forked came back here: it is not ours
            _flush()
            link.send(told)
            if told["state"] == "stopped":
                break
    except Stopped:
        pass
    link.close(_LAST_WORDS_S)
    return 0


def _attempt(job: Job, files: dict[str, loader.Loaded], link: Link) -> Message:
    """Run one attempt and return the message that ends it."""
    try:
        flow = _flow(job, files)
    except _OtherVersion as error:
        return _ended("parked", error=_plain("OtherVersion", str(error)))
    except LoadError as error:
        return _ended("failed", error=_plain("LoadError", str(error), error.traceback))
    context = ChildRun(job, link)
    link.send({"kind": "started", "at_us": now_us()})
    try:
        with running(context, everywhere=True):
            value = call.call(flow, job.parameters, job.events)
    except Stopped as error:
        return _ended("stopped", error=failure.describe(error))
    except SystemExit as error:
        told = failure.describe(error)
        told["message"] = f"the flow called sys.exit({error.code!r}); return from it instead"
        return _ended("failed", error=told)
    except BaseException as error:
        return _ended("failed", error=failure.describe(error))
    return _ended("succeeded", value=result.as_json(value))


def _flow(job: Job, files: dict[str, loader.Loaded]) -> Flow[..., Any]:
    """Return the flow in the version of the run, loading the file when it is new or has changed."""
    loaded = files.get(job.file)
    if loaded is None or loaded.version != job.version:
        try:
            on_disk = loader.version_of(Path(job.file).read_bytes())
        except OSError as error:
            raise _OtherVersion(f"flow file {job.file} cannot be read here: {error.strerror}") from None
        if on_disk != job.version:
            raise _OtherVersion(
                f"flow file {job.file} is here in version {on_disk}, the run was requested for "
                f"{job.version}; bring that version back, or deploy this one and retry the run"
            )
        loaded = files[job.file] = loader.load(job.file)
    return loaded.flow(job.flow)


def _ended(state: str, *, value: str | None = None, error: dict[str, Any] | None = None) -> Message:
    return {"kind": "result", "state": state, "result": value, "error": error, "ended_us": now_us()}


def _plain(kind: str, message: str, traceback: str = "") -> dict[str, Any]:
    return {"type": kind, "message": message, "traceback": traceback}


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # the user may have closed or replaced it
            stream.flush()


def _stop(_number: int, _frame: object) -> NoReturn:
    raise Stopped("stopped by the worker")


def _die_with(parent: int) -> None:
    """Leave nothing behind when the worker dies, however it dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, "ascii")
    if os.getppid() != parent:
        end_all()  # it died before we could ask to be told


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
