"""A child process that does not outlive us, and telling whether a pid is still the process we mean."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import IO

# Runs in the child before the real program: ask the kernel for SIGTERM when the parent dies, then become the
# program (same pid). A preexec_fn would do it in a forked copy of a threaded process, which may deadlock.
TRAMPOLINE = """
import ctypes, os, signal, sys
parent, program = int(sys.argv[1]), sys.argv[2:]
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(signal.SIGTERM), 0, 0, 0)
if os.getppid() != parent:
    sys.exit(1)
try:
    os.execv(program[0], program)
except OSError as error:
    sys.exit(f"{program[0]} cannot be started: {error.strerror}")
"""


class Child:
    """A program in a session of its own (Ctrl-C does not reach it) that gets SIGTERM when we die.

    On Linux the kernel sends the signal when the *thread* that made the child ends; so a thread of its own
    makes it and stays until it ends. Elsewhere an orphan is found by `process_birth` at the next start.
    """

    def __init__(self, command: Sequence[str], *, cwd: Path, output: IO[bytes]) -> None:
        """Start the program; raises OSError when that is not possible."""
        full = [sys.executable, "-I", "-S", "-c", TRAMPOLINE, str(os.getpid()), *command]
        made: SimpleQueue[subprocess.Popen[bytes] | OSError] = SimpleQueue()
        self._ended = threading.Event()
        keep = threading.Thread(
            target=self._keep, args=(full, cwd, output, made), name="child-keeper", daemon=True
        )
        keep.start()
        outcome = made.get()
        if isinstance(outcome, OSError):
            raise outcome
        self._process = outcome

    def _keep(
        self,
        command: list[str],
        cwd: Path,
        output: IO[bytes],
        made: "SimpleQueue[subprocess.Popen[bytes] | OSError]",
    ) -> None:
        try:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            made.put(error)
            return
        made.put(process)
        process.wait()
        self._ended.set()

    @property
    def pid(self) -> int:
        """Process id, valid also after the end."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._process.returncode if self._ended.is_set() else None

    def wait(self, timeout_s: float | None = None) -> bool:
        """Return whether it has ended within the time."""
        return self._ended.wait(timeout_s)

    def send(self, signal_number: signal.Signals) -> None:
        """Send a signal; nothing happens when it has ended."""
        if not self._ended.is_set():
            self._process.send_signal(signal_number)


def process_birth(pid: int) -> str | None:
    """Return a text that identifies this life of the pid, or None when no such process runs.

    A pid alone is reused; pid and birth together are not.
    """
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The name in parentheses may hold blanks; state and start time (field 22) follow it.
            fields = stat.read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] == "Z" else fields[19]
    told = subprocess.run(
        ["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or None
