"""The whole system under test: `ensue up` in a folder of its own, on free ports, stopped by pid."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from streams.local.instance import Instance, read_instance
from streams.local.ports import choose_port

READY_TIMEOUT_S = 120.0


class System:
    """A running `ensue up`; use as a context manager."""

    def __init__(self, folder: Path, flows: str = "", *, env: Mapping[str, str] | None = None) -> None:
        """`flows` is the text of the flow file to deploy, if any."""
        self.folder = folder
        self.data = folder / "data"
        self.flow_file = folder / "flows_under_test.py"
        self.flow_file.write_text(flows, "utf-8")
        self._has_flows = bool(flows)
        self._env = {
            **{
                name: str(choose_port())
                for name in ("ENSUE_PORT", "ENSUE_STORE_PORT", "ENSUE_REGISTRY_PORT", "ENSUE_BROKER_PORT")
            },
            **(env or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start and wait until ready."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, by force if need be."""
        self.stop()

    def start(self) -> float:
        """Start everything; return the seconds until ready."""
        began = time.monotonic()
        self._client = httpx.Client(timeout=30)
        with (self.folder / "up.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "streams.cli.main", "up", "--data", str(self.data), *self._files()],
                env={**os.environ, **self._env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )
        while self.instance_or_none() is None or self.instance.state != "ready":
            assert self._process.poll() is None, f"`ensue up` ended:\n{self.log()}"
            assert time.monotonic() - began < READY_TIMEOUT_S, f"not ready in time:\n{self.log()}"
            time.sleep(0.05)
        return time.monotonic() - began

    def stop(self) -> None:
        """Stop everything in order."""
        self._client.close()
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(90)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _files(self) -> list[str]:
        return [str(self.flow_file)] if self._has_flows else []

    def instance_or_none(self) -> Instance | None:
        """What `ensue up` wrote about itself."""
        return read_instance(self.data)

    @property
    def instance(self) -> Instance:
        """What `ensue up` wrote about itself."""
        found = self.instance_or_none()
        assert found is not None, f"`ensue up` does not run:\n{self.log()}"
        return found

    def log(self, part: str = "") -> str:
        """The end of a part's log, or of `ensue up` itself."""
        path = self.data / "logs" / f"{part}.log" if part else self.folder / "up.log"
        return path.read_text("utf-8", "replace")[-6000:] if path.exists() else ""

    def pid(self, part: str) -> int | None:
        """The process id of a part."""
        notice = self.data / "run" / f"{part}.json"
        try:
            found: dict[str, Any] = json.loads(notice.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return int(found["jvm_pid"] if part == "broker" else found["pid"])

    def kill(self, part: str) -> bool:
        """Kill -9 a part (of the broker: its Java); tell whether there was one to kill."""
        pid = self.pid(part)
        if pid is None:
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def post(self, events: list[dict[str, Any]]) -> httpx.Response:
        """POST events once."""
        return self._client.post(f"{self.instance.api_url}/events", json=events)

    def sql(self, query: str) -> list[dict[str, Any]]:
        """Ask the store."""
        answer = self._client.post(
            self.instance.clickhouse_url,
            params={"database": "ensue", "default_format": "JSON"},
            content=query,
        )
        assert answer.status_code == 200, f"{query}: {answer.text[:500]}"
        rows: list[dict[str, Any]] = answer.json()["data"]
        return rows

    def count(self, query: str) -> int:
        """The single number that a query answers."""
        return int(next(iter(self.sql(query)[0].values())))

    def wait_count(self, query: str, at_least: int, timeout_s: float = 60.0) -> int:
        """Wait until a query answers at least this number; return what it answered last."""
        deadline = time.monotonic() + timeout_s
        found = -1
        while time.monotonic() < deadline:
            try:
                found = self.count(query)
            except (httpx.HTTPError, AssertionError):
                found = -1
            if found >= at_least:
                break
            time.sleep(0.1)
        return found

    def ensue(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the console script against this system."""
        return subprocess.run(
            [sys.executable, "-m", "streams.cli.main", *arguments, "--data", str(self.data)],
            capture_output=True,
            text=True,
            cwd=self.folder,
            timeout=60,
        )
