"""`ensue up`: every part in a process of its own, started together, restarted, stopped in order."""

import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from streams.errors import EnsueError
from streams.local.instance import FILE, Instance
from streams.local.process import PartProcess

START_TIMEOUT_S = 120.0
TICK_S = 0.1
# Takes in nothing new first, then lets the rest finish; the broker and the store go last.
STOP_ORDER = ("gateway", "router", "worker", "sink", "registry", "store", "broker")
STOP_TIMEOUT_S = {"worker": 15.0, "gateway": 15.0, "broker": 30.0}


class Supervisor:
    """Keeps the parts of one data folder running."""

    def __init__(
        self,
        *,
        data: Path,
        instance: Instance,
        commands: Mapping[str, Sequence[str]],
        env: Mapping[str, str],
        say: Callable[[str], None],
    ) -> None:
        """`commands` maps each part's name to its argv; `say` shows a sentence to the person."""
        self._data = data
        self._instance = instance
        self._say = say
        self._stop = threading.Event()
        self._written: dict[str, dict[str, Any]] = {}
        self.parts = {
            name: PartProcess(name=name, argv=argv, data=data, env=env) for name, argv in commands.items()
        }

    def start(self) -> None:
        """Start all parts at once: each waits for what it needs, so their imports overlap."""
        for part in self.parts.values():
            part.start()
        self._write("starting")

    def wait_ready(self, names: Sequence[str], timeout_s: float = START_TIMEOUT_S) -> None:
        """Block until these parts are ready, tending all of them meanwhile.

        Raises EnsueError with the last log lines when one is not ready in time or ends too often.
        """
        deadline = time.monotonic() + timeout_s
        while waiting := [name for name in names if not self.parts[name].ready]:
            if self._stop.is_set():
                raise EnsueError("stopped while starting")
            self._tend()
            broken = [name for name in waiting if self.parts[name].restarts >= 3]
            if broken or time.monotonic() > deadline:
                part = self.parts[(broken or waiting)[0]]
                raise EnsueError(
                    f"{part.name} did not become ready; the end of {part.log_path}:\n{part.last_lines(12)}"
                )
            time.sleep(TICK_S)

    def run(self) -> None:
        """Tend the parts until stopped."""
        self._write("ready")
        while not self._stop.is_set():
            ended = self._tend()
            away = any(status["state"] != "ready" for status in self._written.values())
            if ended or (away and self._statuses() != self._written):  # a comeback is news, too
                self._write("ready")
            self._stop.wait(TICK_S)

    def request_stop(self, *_: object) -> None:
        """End `run`; usable as a signal handler."""
        self._stop.set()

    def stop(self) -> None:
        """Stop all parts in order, each with its own time to finish."""
        self._write("stopping")
        for name in [n for n in STOP_ORDER if n in self.parts]:
            part = self.parts[name]
            part.signal(signal.SIGTERM)
            if not part.wait(STOP_TIMEOUT_S.get(name, 10.0)):
                self._say(f"{name} did not stop in time and was killed; what it had acknowledged is durable")
        (self._data / FILE).unlink(missing_ok=True)

    def _tend(self) -> bool:
        sentences = [sentence for part in self.parts.values() if (sentence := part.tend())]
        for sentence in sentences:
            self._say(sentence)
        return bool(sentences)

    def _statuses(self) -> dict[str, dict[str, Any]]:
        return {name: part.as_status() for name, part in self.parts.items()}

    def _write(self, state: str) -> None:
        self._written = self._statuses()
        replace(self._instance, state=state, parts=self._written).write(self._data)
