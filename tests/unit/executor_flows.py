"""Flows of every kind of behaviour, for the executor's tests."""

import asyncio
import ctypes
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from flows import Event, emit_event, flow, task


@task
def double(n: int) -> int:
    print(f"doubling {n}")
    return 2 * n


@flow
def good(n: int, event: Event | None = None) -> list[Any]:
    value = double(n)
    emitted = emit_event("done", {"resource.id": str(n)})
    return [value, double(value), emitted.id, event.resource_id if event else None]


@flow
async def gathered() -> int:
    @task
    async def one(n: int) -> int:
        await asyncio.sleep(0.01)
        return n

    return sum(await asyncio.gather(*(one(n) for n in range(5))))


@flow
def raises() -> None:
    def deeper() -> None:
        raise ValueError("no such thing")

    deeper()


@flow
def exits() -> None:
    sys.exit(3)


@flow
def exits_hard() -> None:
    print("last words")
    os._exit(7)


@flow
def crashes() -> None:
    ctypes.string_at(0)


@flow
def hangs() -> None:
    while True:
        try:
            time.sleep(60)
        except Exception:
            continue


@flow
def hangs_stubbornly(pid_file: str) -> None:
    helper = subprocess.Popen(["sleep", "600"])
    Path(pid_file).write_text(str(helper.pid))
    while True:
        try:
            time.sleep(60)
        except BaseException:
            continue


@flow
def prints(megabytes: int) -> str:
    sys.stdout.write("first\n")
    for _ in range(megabytes):
        sys.stdout.write("x" * (1 << 20))
    sys.stderr.write("\nlast\n")
    return "quiet again"


@flow
def threaded() -> list[int]:
    values: list[int] = []
    thread = threading.Thread(target=lambda: values.append(double(4)))
    thread.start()
    thread.join()
    return values


@flow
def forks() -> str:
    if os.fork() == 0:
        return "from the fork"
    os.wait()
    return "from the run"


@flow
def not_json() -> object:
    return object()


@flow
def pid() -> int:
    return os.getpid()
