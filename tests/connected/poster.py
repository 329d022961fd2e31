"""A client that posts until it is told 2xx, in a thread, and remembers what was acknowledged."""

import threading
import time
from typing import Any

import httpx

from schemas.new_id import new_id
from tests.connected.system import System


class Poster:
    """Posts `total` events in requests of `size`, retrying each with the same ids until acknowledged."""

    def __init__(self, system: System, *, total: int, size: int = 10, per_s: float = 200.0) -> None:
        self._system = system
        self._total = total
        self._size = size
        self._pause_s = size / per_s
        self.acknowledged: list[str] = []
        self.refused: list[str] = []
        self.retries = 0
        self.done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait for the last acknowledgement; what is left is posted without pauses."""
        self._pause_s = 0.0
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), f"{len(self.acknowledged)} of {self._total} acknowledged in time"

    def _run(self) -> None:
        url = f"{self._system.instance.api_url}/events"
        for start in range(0, self._total, self._size):
            events = [self._event(number) for number in range(start, min(start + self._size, self._total))]
            self._send(url, events)
            time.sleep(self._pause_s)
        self.done.set()

    def _send(self, url: str, events: list[dict[str, Any]]) -> None:
        while True:
            try:
                answer = httpx.post(url, json=events, timeout=15)
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code < 300:
                self.acknowledged += answer.json()["ids"]
                return
            if answer is not None and answer.status_code < 500 and answer.status_code != 429:
                self.refused.append(answer.text)
                return
            self.retries += 1
            time.sleep(0.1)

    def _event(self, number: int) -> dict[str, Any]:
        return {
            "id": new_id(),
            "event": "kill.test",
            "resource": {"resource.id": f"thing.{number % 500}"},
            "payload": {"number": number},
        }
