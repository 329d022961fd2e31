"""What the fence costs: the same writes through a fenced and a plain producer, in turns."""

import time
from dataclasses import dataclass

from streams.kafka.fenced import FencedProducer
from tests.simulation.ownership.plain import PlainProducer

RATE_PER_S = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    kind: str
    p50_ms: float
    p95_ms: float
    p99_ms: float

    def __str__(self) -> str:
        return f"{self.kind}: p50 {self.p50_ms:.2f}, p95 {self.p95_ms:.2f}, p99 {self.p99_ms:.2f} ms"


def fence_cost(bootstrap: str, topic: str, *, writes: int = 2_000) -> list[Latency]:
    """Write one row at a time at 200/s over 8 partitions, each by its own producer; acknowledged latency."""
    client = {"bootstrap.servers": bootstrap}
    producers = {
        "fenced": [FencedProducer(client, f"cost.{p}") for p in range(8)],
        "plain": [PlainProducer(client, f"cost.{p}") for p in range(8)],
    }
    taken: dict[str, list[float]] = {kind: [] for kind in producers}
    for one in (p for all_of in producers.values() for p in all_of):
        one.open()
        one.send(topic, 0, b"warm", b"").result(30)
    for n in range(writes):
        for kind, all_of in producers.items():
            started = time.perf_counter()
            all_of[n % 8].send(topic, n % 8, b"key", b"x" * 200).result(30)
            took_s = time.perf_counter() - started
            taken[kind].append(took_s * 1e3)
            time.sleep(max(0.5 / RATE_PER_S - took_s, 0))
    for one in (p for all_of in producers.values() for p in all_of):
        one.close()
    return [_latency(kind, sorted(values)) for kind, values in taken.items()]


def _latency(kind: str, values: list[float]) -> Latency:
    at = [values[int(len(values) * share)] for share in (0.5, 0.95, 0.99)]
    return Latency(kind=kind, p50_ms=at[0], p95_ms=at[1], p99_ms=at[2])
