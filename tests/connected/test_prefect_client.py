"""A real Prefect emits and subscribes while the gateway is killed: nothing lost, nothing twice."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.connected.prefect_environment import prefect_env, prefect_python
from tests.connected.system import System

pytestmark = [pytest.mark.connected, pytest.mark.timeout(900)]
WITHIN_S = 120.0
HERE = Path(__file__).parent
NAME = "prefect.test"


class SseReader:
    """Reads /events/stream as a browser would: after each end it comes back with its last id."""

    def __init__(self, url: str) -> None:
        self.ids: list[str] = []
        self.connections = 0
        self._url = url
        self._last_id = ""
        self._closing = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(20)

    def close(self) -> None:
        """End it."""
        self._closing.set()
        self._thread.join(20)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._read()
            except httpx.HTTPError:
                time.sleep(0.2)

    def _read(self) -> None:
        headers = {"last-event-id": self._last_id} if self._last_id else {}
        url = f"{self._url}/events/stream?event={NAME}"
        with httpx.stream("GET", url, headers=headers, timeout=httpx.Timeout(5, read=30)) as answer:
            assert answer.status_code == 200, answer.read()
            self.connections += 1
            block: dict[str, str] = {}
            for line in answer.iter_lines():
                if self._closing.is_set():
                    return
                if line:
                    key, _, value = line.partition(": ")
                    block[key] = value
                    continue
                # As the specification says: an id counts once its block is whole.
                self._last_id = block.get("id", self._last_id)
                if "data" in block:
                    self.ids.append(json.loads(block["data"])["id"])
                if self._last_id:
                    self._ready.set()
                block = {}


@contextmanager
def started(command: list[str], env: Mapping[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """Run a process; end it by its id."""
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def listener(python: Path, wanted: object, count: int) -> list[str]:
    """The command of a subscriber."""
    return [str(python), str(HERE / "prefect_listener.py"), json.dumps(wanted), str(count)]


def heard(process: "subprocess.Popen[str]") -> list[str]:
    """The ids that a process prints at its end."""
    out, errors = process.communicate(timeout=WITHIN_S)
    assert process.returncode == 0, errors[-3000:]
    ids: list[str] = json.loads(out.splitlines()[-1])
    return ids


def rows(system: System) -> int:
    """Events of this test in SQL; -1 while the store cannot tell."""
    try:
        return system.count(f"SELECT count() FROM events WHERE event = '{NAME}'")
    except (httpx.HTTPError, AssertionError):
        return -1


@pytest.mark.parametrize("events", [2_000, pytest.param(10_000, marks=pytest.mark.soak)])
def test_prefect_emits_and_subscribes_while_the_gateway_is_killed(tmp_path: Path, events: int) -> None:
    """Many events of a real client, two kills: each is stored once, and each subscriber gets each once."""
    kill_at = (events // 10, events // 2)
    python = prefect_python()
    with System(tmp_path) as system:
        url = system.instance.api_url
        env = prefect_env(tmp_path / "prefect", f"{url}/api")
        sse = SseReader(url)
        all_of_them = {"event": {"name": [NAME]}, "resource": {"labels": {"env": "te*"}}}
        batches = {"event": {"prefix": ["prefect."]}, "related": {"role": ["batch"]}}
        with (
            started(listener(python, all_of_them, events), env) as everything,
            started(listener(python, batches, events // 10), env) as tenths,
        ):
            for process in (everything, tenths):
                assert process.stdout is not None
                assert process.stdout.readline() == "listening\n"
            with started([str(python), str(HERE / "prefect_emitter.py"), str(events)], env) as emitter:
                for at in kill_at:
                    deadline_s = time.monotonic() + WITHIN_S
                    while rows(system) < at:
                        assert time.monotonic() < deadline_s
                        assert emitter.poll() is None
                        time.sleep(0.05)
                    assert system.kill("gateway")
                emitted = heard(emitter)
            assert len(set(emitted)) == events
            system.wait_count(f"SELECT count() FROM events WHERE event = '{NAME}'", events)
            stored = [row["id"] for row in system.sql(f"SELECT id FROM events WHERE event = '{NAME}'")]
            got = heard(everything)
            got_tenths = heard(tenths)
        deadline_s = time.monotonic() + 20
        while len(sse.ids) < events and time.monotonic() < deadline_s:
            time.sleep(0.1)
        time.sleep(1.0)
        sse.close()
        assert system.sql("SELECT count() AS n FROM dead_letters")[0]["n"] in {0, "0"}
    print(f"stored {len(stored)}, heard {len(got)} and {len(got_tenths)}, streamed {len(sse.ids)}")
    assert sorted(stored) == sorted(emitted)
    assert sorted(got) == sorted(emitted)
    assert sorted(got_tenths) == sorted(emitted[::10])
    assert len(sse.ids) == len(set(sse.ids)), "the stream repeated events"
    assert sorted(sse.ids) == sorted(emitted), "the stream has a gap"
    assert sse.connections > len(kill_at)
