"""A registry in a process of its own, as `ensue registry` runs it; it may kill itself at a chosen moment."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.registry.kafka_writer import KafkaWriter
from streams.registry.server import serve
from streams.settings import KafkaSettings, Settings

START_TIMEOUT_S = 60.0
ROOT = Path(__file__).parents[2]


class RegistryProcess:
    """Use as a context manager; `url` once started.

    Args:
        kafka: The broker.
        topic: Where schemas are kept.
        die_after: Kill -9 itself between the acknowledgement of this write and its answer; 0 never.

    """

    def __init__(self, kafka: KafkaSettings, topic: str, *, die_after: int = 0, port: int = 0) -> None:
        self._argv = [
            sys.executable,
            __file__,
            kafka.bootstrap_servers,
            topic,
            str(die_after),
            str(port),
        ]
        self._process: subprocess.Popen[str] | None = None
        self.url = ""
        self.started_in_s = 0.0

    def start(self) -> None:
        """Return once it listens."""
        began = time.monotonic()
        self._process = subprocess.Popen(
            self._argv, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line.isdigit(), "the registry did not start; its error is above"
        self.url = f"http://127.0.0.1:{line}"
        self.started_in_s = time.monotonic() - began

    @property
    def pid(self) -> int:
        """Process id."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """Kill -9."""
        assert self._process is not None
        self._process.kill()
        self._wait()

    def wait_killed(self) -> None:
        """Return once it ended by SIGKILL."""
        assert self._wait() == -signal.SIGKILL

    def stop(self) -> int:
        """SIGTERM; return the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._wait()

    def _wait(self) -> int:
        assert self._process is not None
        assert self._process.stdout is not None
        code = self._process.wait(30)
        self._process.stdout.close()
        return code

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()


def die_after(count: int) -> None:
    """Kill this process right after the broker acknowledged the given write."""
    write = KafkaWriter.write
    done = 0

    def write_and_die(self: KafkaWriter, key: bytes, value: bytes | None) -> int:
        nonlocal done
        offset = write(self, key, value)
        done += 1
        if done == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return offset

    KafkaWriter.write = write_and_die  # type: ignore[method-assign]


def main() -> None:
    """Serve; print the port once listening."""
    bootstrap, topic, count, port = sys.argv[1:]
    if int(count):
        die_after(int(count))
    settings = Settings(kafka=KafkaSettings(bootstrap_servers=bootstrap))
    asyncio.run(
        serve(
            settings, "127.0.0.1", int(port), topic=topic, on_listening=lambda found: print(found, flush=True)
        )
    )


if __name__ == "__main__":
    main()
