"""One supervised part: start, restart with back-off, log, stop."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streams.local.notice import PARENT_VARIABLE, notice_path, read_notice

BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
CALM_S = 5.0  # a part that ran this long starts its back-off anew: it is not failing at its start
LOG_BYTES_MAX = 20 << 20


@dataclass(slots=True, kw_only=True)
class PartProcess:
    """A part of the system in a process of its own."""

    name: str
    argv: Sequence[str]
    data: Path
    env: Mapping[str, str]
    restarts: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None)
    _started_s: float = 0.0
    _next_start_s: float = 0.0
    _failures: int = 0

    @property
    def log_path(self) -> Path:
        """Where its output goes."""
        return self.data / "logs" / f"{self.name}.log"

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def ready(self) -> bool:
        """Whether it has announced itself."""
        return self.pid is not None and read_notice(self.data, self.name, self.pid) is not None

    def start(self) -> None:
        """Start it; its output is appended to its log."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_BYTES_MAX:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        notice_path(self.data, self.name).unlink(missing_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.env, PARENT_VARIABLE: str(os.getpid())},
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which stops parts in order
            )
        self._started_s = time.monotonic()

    def tend(self) -> str | None:
        """Restart it when it has ended; return a sentence when something happened."""
        process = self._process
        if process is None or process.poll() is None:
            return None
        now = time.monotonic()
        if not self._next_start_s:
            if now - self._started_s > CALM_S:
                self._failures = 0
            wait_s = BACKOFF_S[min(self._failures, len(BACKOFF_S) - 1)]
            self._failures += 1
            self._next_start_s = now + wait_s
            return f"{self.name} ended with {describe_exit(process.returncode)}; starts again in {wait_s:g} s"
        if now >= self._next_start_s:
            self._next_start_s = 0.0
            self.restarts += 1
            self.start()
        return None

    def signal(self, number: int) -> None:
        """Send a signal if it runs."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(number)

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; kill it after `timeout_s`. Returns False when it had to be killed."""
        if self._process is None:
            return True
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
            return False
        return True

    def last_lines(self, count: int = 5) -> str:
        """Return the end of its log, for an error message."""
        try:
            return "\n".join(self.log_path.read_text("utf-8", "replace").splitlines()[-count:])
        except OSError:
            return ""

    def as_status(self) -> dict[str, Any]:
        """Return what `ensue status` shows."""
        state = "ready" if self.ready else ("starting" if self.pid else "ended")
        return {"pid": self.pid, "state": state, "restarts": self.restarts, "log": str(self.log_path)}


def describe_exit(code: int) -> str:
    """Return an exit code in words."""
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
