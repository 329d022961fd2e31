"""A real store in a process of its own, on a free port, to be asked and to be killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

from pydantic import SecretStr

from streams.local.ports import choose_port
from streams.settings import ClickHouseSettings

_SCRIPT = """
import asyncio, sys
from pathlib import Path
from streams.store.server import serve
asyncio.run(serve(Path(sys.argv[1]), port=int(sys.argv[2])))
"""


class StoreProcess:
    """Start, stop, kill -9, start again; the port stays."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = choose_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.started_in_s = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, timeout_s: float = 60.0) -> "StoreProcess":
        """Start it and wait until it answers."""
        self.data.mkdir(parents=True, exist_ok=True)
        log = (self.data / "store.log").open("ab")
        began_s = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SCRIPT, str(self.data), str(self.port)], stdout=log, stderr=log
        )
        log.close()
        while time.monotonic() - began_s < timeout_s:
            if self._process.poll() is not None:
                raise RuntimeError(f"the store ended: {self.log()}")
            try:
                with urlopen(f"{self.url}/ping", timeout=1):
                    self.started_in_s = time.monotonic() - began_s
                    return self
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"the store does not answer: {self.log()}")

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """What it printed, the end of it."""
        return (self.data / "store.log").read_text("utf-8", "replace")[-2000:]

    def kill(self) -> None:
        """Send SIGKILL."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait(10)

    def stop(self) -> None:
        """Ask it to end and wait."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)

    def settings(self) -> ClickHouseSettings:
        """How to reach it, as a reader and as the writer."""
        secret = (self.data / "store" / "writer.secret").read_text("utf-8").strip()
        return ClickHouseSettings(url=self.url, writer_password=SecretStr(secret))
