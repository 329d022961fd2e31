"""One row per identity at the front door: every event posted twice, through two gateways, under kills."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.new_id import new_id
from streams.local.ports import choose_port
from tests.connected.system import System

BODY_EVENTS = 250


class SecondGateway:
    """Another gateway of the same installation, started again when it was killed."""

    def __init__(self, system: System) -> None:
        self._system = system
        self.port = choose_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._tend, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """Kill -9, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    def close(self) -> None:
        """Stop it for good."""
        self._closing.set()
        self._thread.join(30)

    def _tend(self) -> None:
        instance = self._system.instance
        env = {
            **os.environ,
            "ENSUE_DATA": str(self._system.folder / "second"),
            "ENSUE_PORT": str(self.port),
            "ENSUE_KAFKA__BOOTSTRAP_SERVERS": instance.bootstrap_servers,
            "ENSUE_CLICKHOUSE__URL": instance.clickhouse_url,
            "ENSUE_REGISTRY__URL": instance.registry_url,
        }
        with (self._system.folder / "second.log").open("ab") as log:
            while not self._closing.is_set():
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "streams.cli.main", "gateway"], env=env, stdout=log, stderr=log
                )
                while self._process.poll() is None and not self._closing.wait(0.05):
                    pass
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)


def post_all(url: str, bodies: list[list[dict[str, Any]]]) -> None:
    """Post every body until it is acknowledged."""
    for body in bodies:
        while True:
            try:
                if httpx.post(f"{url}/events", json=body, timeout=15).status_code == 202:
                    break
            except httpx.HTTPError:
                pass
            time.sleep(0.05)


def run(tmp_path: Path, events: int) -> None:
    """Post `events` twice while gateways and sink are killed in turn, one a second; check the rows."""
    ids = [new_id() for _ in range(events)]
    bodies = [
        [
            {"id": i, "event": "twice.posted", "resource": {"resource.id": f"thing.{i[-3:]}"}}
            for i in ids[start : start + BODY_EVENTS]
        ]
        for start in range(0, events, BODY_EVENTS)
    ]
    with System(tmp_path) as system:
        second = SecondGateway(system)
        threads = [
            threading.Thread(target=post_all, args=(system.instance.api_url, bodies), daemon=True),
            threading.Thread(target=post_all, args=(second.url, bodies[::-1]), daemon=True),
        ]
        for thread in threads:
            thread.start()
        kills = 0
        for victim in itertools.cycle(("gateway", "sink", "second")):
            if not any(thread.is_alive() for thread in threads):
                break
            time.sleep(1.0)
            if victim == "second":
                second.kill()
            else:
                system.kill(victim)
            kills += 1
            # Gateways need about a second to come back; let requests through between two rounds.
            if kills % 3 == 0:
                time.sleep(3.0)
            assert kills < 1000
        second.close()
        print(f"{events} events posted twice, {kills} kills")
        counted = "SELECT count() FROM events WHERE event = 'twice.posted'"
        system.wait_count(counted, events, 120)
        time.sleep(2.0)
        row = system.sql(
            "SELECT count() AS n, uniqExact(id) AS ids FROM events WHERE event = 'twice.posted'"
        )[0]
        assert (int(row["n"]), int(row["ids"])) == (events, events)
        assert kills >= 3


@pytest.mark.connected
@pytest.mark.timeout(400)
def test_events_posted_twice_through_two_gateways_are_one_row(tmp_path: Path) -> None:
    """20,000 events posted twice through two gateways under kills are 20,000 rows."""
    run(tmp_path, 20_000)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_events_posted_twice_are_one_row(tmp_path: Path) -> None:
    """100,000 events posted twice through two gateways under kills are 100,000 rows."""
    run(tmp_path, 100_000)
