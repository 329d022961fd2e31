"""What is done to the workers: drawn from a seed, so that a failure can be repeated."""

import random
from collections.abc import Iterator

from tests.simulation.ownership.cluster import Cluster, Worker

STEP_S = 5.0


class Nemesis:
    """Every 5 s a worker joins or leaves; on top of that kill -9 and pauses beyond the session timeout.

    Unclean faults are a session timeout and a takeover apart: the group waits for each silent member in turn,
    and a fault that hits whom a partition was just given to adds a whole timeout, whatever the owner does
    (2 to 6 s after the timeout: 24.9 s in 15 minutes; each alone: about 10 s).
    """

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self._cluster = cluster
        self._random = random.Random(seed)
        self._paused: list[tuple[float, Worker]] = []
        self._next_step_s = STEP_S
        self._next_fault_s = STEP_S / 2
        self.unclean = 0

    def _healthy(self) -> list[Worker]:
        return [w for w in self._cluster.workers if not w.paused]

    def act(self, now_s: float) -> None:
        """Do what is due `now_s` seconds after the beginning."""
        for due_s, worker in list(self._paused):
            if now_s >= due_s:
                self._paused.remove((due_s, worker))
                self._cluster.resume(worker)
        if now_s >= self._next_step_s:
            self._next_step_s += STEP_S
            if len(self._healthy()) >= 3:
                self._cluster.leave(self._random.choice(self._healthy()))
            else:
                self._cluster.join()
        if now_s >= self._next_fault_s and len(self._healthy()) >= 3:
            session_s = self._cluster.session_s
            self._next_fault_s = now_s + session_s + self._random.uniform(4, 8)
            victim = self._random.choice(self._healthy())
            self.unclean += 1
            if self._random.random() < 0.5:
                self._cluster.kill(victim)
            else:
                self._cluster.pause(victim)
                self._paused.append((now_s + session_s + self._random.uniform(1, 5), victim))

    def rest(self) -> Iterator[Worker]:
        """Let go of everything that is still paused."""
        for _, worker in self._paused:
            self._cluster.resume(worker)
            yield worker
        self._paused.clear()
