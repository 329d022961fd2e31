"""Apache Kafka on this machine, without Docker and without an installed Java.

data_dir/broker/
├── log/                Kafka's own data; there once the folder is formatted
├── broker.json         ports of the last start, pid and birth of the running JVM
├── broker.log          Kafka's log (rotated); jvm.log is what the JVM itself printed
└── broker.lock         held by the process that owns the broker
"""

import base64
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from streams.errors import Transport
from streams.kafka.admin import open_producer_ids, wait_ready
from streams.local.broker_files import ScramUser, log_properties, server_properties
from streams.local.child import Child, process_birth
from streams.local.jars import ensure_jars
from streams.local.java import LEAN_FLAGS, StartArchive, java_path
from streams.local.lock import FolderLock
from streams.local.ports import LOOPBACK, choose_port, wait_listening
from streams.settings import KafkaSettings

DEFAULT_PORT = 4292
CLEAN_EXITS = (0, 143, -signal.SIGTERM)
_FORMAT_TIMEOUT_S = 120
ORPHAN_TIMEOUT_S = 5.0  # it has been told already; what it acknowledged is durable either way
_BIND_ATTEMPTS = 3
_TAIL_LINES = 12


class LocalBroker:
    """One Kafka broker and controller in one JVM, loopback only, its data under `data_dir/broker`.

    `start` and `stop` may alternate; data, topics and positions stay, after a kill -9 too. The JVM ends when
    the process that started it does. Not thread-safe: one owner calls it.

    Args:
        data_dir: created when absent; one broker at a time owns it.
        port: wished port; when it is in use that of the last start, else any free one.
        heap_mb: largest Java heap, MiB.
        properties: Kafka settings that override ours.
        scram_user: ask clients for this user's password; fixed when the folder is first formatted.

    """

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        heap_mb: int = 512,
        *,
        properties: Mapping[str, str] | None = None,
        scram_user: ScramUser | None = None,
    ) -> None:
        self.folder = data_dir.absolute() / "broker"
        self._wished_port = port
        self._heap_mb = heap_mb
        self._properties = dict(properties or {})
        self._scram_user = scram_user
        self._lock = FolderLock(self.folder, "broker")
        self._child: Child | None = None
        self._archive: StartArchive | None = None
        self._port = 0

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients; raises Transport when the broker was never started."""
        if not self._port:
            raise Transport("the local broker has no address yet: start it first")
        return f"{LOOPBACK}:{self._port}"

    @property
    def pid(self) -> int | None:
        """Process id of the running JVM."""
        return self._child.pid if self.running and self._child else None

    @property
    def running(self) -> bool:
        """Whether the JVM lives."""
        return self._child is not None and self._child.exit_code is None

    @property
    def exit_code(self) -> int | None:
        """How the JVM last ended; 143 is clean (SIGTERM)."""
        return self._child.exit_code if self._child else None

    @property
    def log_path(self) -> Path:
        """Kafka's own log."""
        return self.folder / "broker.log"

    def settings(self, topic_prefix: str = "ensue.") -> KafkaSettings:
        """How clients reach this broker."""
        if self._scram_user is None:
            return KafkaSettings(bootstrap_servers=self.bootstrap, topic_prefix=topic_prefix)
        return KafkaSettings(
            bootstrap_servers=self.bootstrap,
            topic_prefix=topic_prefix,
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="SCRAM-SHA-512",
            sasl_username=self._scram_user.name,
            sasl_password=SecretStr(self._scram_user.password),
        )

    def start(self, timeout_s: float = 60.0) -> None:
        """Return once the broker takes requests that change it; downloads what is missing first.

        Raises:
            BadInput: another process owns the folder.
            Transport: it did not come up in time; the text ends with the last lines of its log.

        """
        if self.running:
            return
        self._end(signal.SIGKILL, 10)  # settles a JVM that ended by itself
        if not self._lock.held:
            # Private: whoever can read the log can read every event.
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.acquire()
        try:
            java, jars = java_path(), ensure_jars()
            self._end_orphan()
            for attempt in range(1, _BIND_ATTEMPTS + 1):
                self._write_files()
                self._format(java, jars)
                self._launch(java, jars)
                try:
                    self._await_ready(timeout_s)
                except Transport as error:
                    lost_port = not self.running and "Address already in use" in self._tail()
                    text = f"the local broker in {self.folder} did not start: {error}\n{self._tail()}"
                    self._end(signal.SIGKILL, 10)
                    if not lost_port or attempt == _BIND_ATTEMPTS:
                        raise Transport(text) from error
                else:
                    return
        except BaseException:
            self._end(signal.SIGKILL, 10)
            self._lock.release()
            raise

    def stop(self, timeout_s: float = 25.0) -> None:
        """End the broker cleanly, by force after `timeout_s`; give the folder back.

        The very first stop takes some seconds longer: the JVM writes its start archive then.
        """
        self._end(signal.SIGTERM, timeout_s)
        self._lock.release()

    def kill(self) -> None:
        """End the broker as kill -9 does; nothing acknowledged is lost. Gives the folder back."""
        self._end(signal.SIGKILL, 10)
        self._lock.release()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Return whether the JVM has ended within the time."""
        return self._child is None or self._child.wait(timeout_s)

    # --- steps of a start ---

    def _state(self) -> dict[str, Any]:
        try:
            found = json.loads((self.folder / "broker.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _save_state(self, **changes: Any) -> None:
        part = self.folder / "broker.json.part"
        part.write_text(json.dumps({**self._state(), **changes}), "utf-8")
        part.replace(self.folder / "broker.json")

    def _end_orphan(self) -> None:
        # We hold the lock, so whoever started this JVM is dead. It has been told to end; see that it does.
        state = self._state()
        pid, birth = state.get("pid"), state.get("birth")
        if not pid or not birth:
            return
        for signal_number in (signal.SIGTERM, signal.SIGKILL):
            deadline_s = time.monotonic() + ORPHAN_TIMEOUT_S
            while process_birth(pid) == birth:
                if time.monotonic() >= deadline_s:
                    break
                os.kill(pid, signal_number)
                time.sleep(0.2)
        self._save_state(pid=None, birth=None)

    def _write_files(self) -> None:
        state = self._state()
        self._port = choose_port(self._wished_port or state.get("port"), state.get("port"), DEFAULT_PORT)
        controller_port = choose_port()
        self._save_state(port=self._port, pid=None, birth=None)
        text = server_properties(
            port=self._port,
            controller_port=controller_port,
            scram_user=self._scram_user,
            more=self._properties,
        )
        properties = self.folder / "server.properties"
        properties.touch(0o600)
        properties.write_text(text, "utf-8")
        (self.folder / "log4j2.properties").write_text(log_properties(), "utf-8")
        (self.folder / "tmp").mkdir(exist_ok=True)

    def _format(self, java: Path, jars: list[Path]) -> None:
        """Format once: into a folder beside, renamed when complete, so that a kill leaves no half."""
        if (self.folder / "log").exists():
            return
        fresh = self.folder / "log.new"
        shutil.rmtree(fresh, ignore_errors=True)
        text = (self.folder / "server.properties").read_text("utf-8")
        properties = self.folder / "format.properties"
        properties.touch(0o600)
        properties.write_text(text + "log.dirs=log.new\n", "utf-8")
        cluster_id = "e" + base64.urlsafe_b64encode(secrets.token_bytes(16)).decode()[1:22]
        command = [*self._java(java, jars, heap_mb=128), "kafka.tools.StorageTool", "format"]
        command += ["-t", cluster_id, "-c", properties.name]
        if self._scram_user:
            command += ["--add-scram", self._scram_user.format_argument]
        told = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=_FORMAT_TIMEOUT_S, check=False
        )
        properties.unlink()
        if told.returncode:
            raise Transport(
                f"the broker's data folder {self.folder} could not be formatted: {told.stdout}{told.stderr}"
            )
        fresh.rename(self.folder / "log")

    def _java(self, java: Path, jars: list[Path], *, heap_mb: int) -> list[str]:
        return [
            *(str(java), f"-Xmx{heap_mb}m", *LEAN_FLAGS, f"-Djava.io.tmpdir={self.folder / 'tmp'}"),
            *("-Dlog4j2.configurationFile=log4j2.properties", "-Dlog4j2.disableJmx=true"),
            *("-cp", ":".join(str(jar) for jar in jars)),
        ]

    def _launch(self, java: Path, jars: list[Path]) -> None:
        self._archive = StartArchive(jars[0].parent, java, jars)
        command = self._java(java, jars, heap_mb=self._heap_mb)
        command[1:1] = self._archive.flags()
        with (self.folder / "jvm.log").open("wb") as output:
            self._child = Child(
                [*command, "kafka.Kafka", "server.properties"], cwd=self.folder, output=output
            )
        self._save_state(pid=self._child.pid, birth=process_birth(self._child.pid))

    def _await_ready(self, timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        wait_listening(self._port, timeout_s, still_alive=lambda: self.running)
        wait_ready(self.settings(), max(1.0, deadline_s - time.monotonic()))
        if not self.running:
            raise Transport(f"its process ended with code {self.exit_code}")
        open_producer_ids(self.settings())

    # --- the end ---

    def _end(self, signal_number: signal.Signals, timeout_s: float) -> None:
        if self._child is None or not self._lock.held:
            return
        self._child.send(signal_number)
        if not self._child.wait(timeout_s):
            self._child.send(signal.SIGKILL)
            self._child.wait(10)
        if self._archive is not None:
            clean = self._child.exit_code in CLEAN_EXITS
            self._archive.settle(clean=clean, jvm_output=self._read_end("jvm.log", 65536))
            self._archive = None
        self._save_state(pid=None, birth=None)

    def _tail(self) -> str:
        """Last lines of what Kafka and the JVM wrote, for an error that a person reads."""
        lines = [
            f"  {name}: {line}"
            for name in ("jvm.log", "broker.log")
            for line in self._read_end(name, 8192).splitlines()[-_TAIL_LINES:]
        ]
        return "\n".join(lines) or "  (it wrote no log)"

    def _read_end(self, name: str, size_bytes: int) -> str:
        try:
            with (self.folder / name).open("rb") as stream:
                stream.seek(max(0, stream.seek(0, os.SEEK_END) - size_bytes))
                return stream.read().decode("utf-8", "replace")
        except OSError:
            return ""
