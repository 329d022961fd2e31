"""The ledger: what was asked for against what the logs say."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streams.kafka.owned_log import SNAPSHOT_MARK
from streams.kafka.tail import bounds, fold_latest, read_to_end
from tests.simulation.ownership.cluster import PARTITIONS, Cluster, Load


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    asked: int
    ended: int
    lost: int  # acknowledged, never ended
    double: int  # runs with two different terminal states
    said_again: int  # the same terminal record a second time: ids decide
    miscounted: int  # keys whose state is not the number of their candidates
    unowned_s_max: float  # longest time a partition of a role had no owner
    shortened: int  # offsets of journal and state that owners have deleted behind a snapshot


class RunLog:
    """Terminal states by run, read on from where the last reading stopped."""

    def __init__(self, bootstrap: str) -> None:
        self.states: dict[bytes, set[bytes]] = defaultdict(set)
        self.records = 0
        self.last_ms = 0  # the broker's clock at the newest record read
        self._client = {"bootstrap.servers": bootstrap}
        self._next = [0] * PARTITIONS

    def read(self) -> None:
        """Read all partitions to their ends."""
        for partition in range(PARTITIONS):
            for batch in read_to_end(self._client, "run-log", partition, start=self._next[partition]):
                for record in batch:
                    self.states[record.key or b""].add(record.value or b"")
                self.records += len(batch)
                self.last_ms = max(self.last_ms, batch[-1].timestamp_ms)
                self._next[partition] = batch[-1].offset + 1


def check(cluster: Cluster, load: Load, run_log: RunLog, since_s: float) -> Verdict:
    """Read all logs to their ends and compare; times without an owner count from `since_s` (epoch) on."""
    client = {"bootstrap.servers": cluster.bootstrap}
    run_log.read()
    states, records = run_log.states, run_log.records
    counts: dict[bytes, int] = {}
    shortened = 0
    for partition in range(PARTITIONS):
        for key, row in fold_latest(client, "state", partition).items():
            if key != SNAPSHOT_MARK:
                counts[key] = int((row.value or b"0").split(b"|")[0])
        shortened += bounds(client, "journal", partition)[0] + bounds(client, "state", partition)[0]
    return Verdict(
        asked=len(load.acked),
        ended=len(load.acked & states.keys()),
        lost=len(load.acked - states.keys()),
        double=sum(len(values) > 1 for values in states.values()),
        said_again=records - sum(len(values) for values in states.values()),
        miscounted=sum(counts.get(key, 0) != n for key, n in load.per_key.items()),
        unowned_s_max=max(unowned(cluster, since_s).values()),
        shortened=shortened,
    )


def unowned(cluster: Cluster, since_s: float) -> Mapping[tuple[str, int], float]:
    """Longest time without an owner, per role and partition, that began after `since_s`.

    A killed or paused worker owns nothing from that moment on, whatever it last said.
    """
    owners: dict[tuple[str, int], set[str]] = defaultdict(set)
    since: dict[tuple[str, int], float] = {}
    longest: dict[tuple[str, int], float] = defaultdict(float)

    def without(place: tuple[str, int], worker: str, at: float) -> None:
        if worker in owners[place]:
            owners[place].discard(worker)
            if not owners[place]:
                since[place] = at

    for line in cluster.ledger():
        if line["what"] in ("kill", "pause", "native crash"):
            for place in list(owners):
                without(place, line["worker"], line["t"])
        elif line["what"] == "state":
            place = (line["role"], line["partition"])
            if line["state"] == "active":
                began = since.pop(place, line["t"])
                if began >= since_s:
                    longest[place] = max(longest[place], line["t"] - began)
                owners[place].add(line["worker"])
            elif line["state"] == "lost":
                without(place, line["worker"], line["t"])
    return longest


def recovery(ledger: list[dict[str, Any]], runs: int) -> float | None:
    """Seconds from the first assignment until `runs` unfinished runs are known and under way again."""
    first = next(line["t"] for line in ledger if line["what"] == "assigned")
    recovered: dict[int, int] = {}
    for line in ledger:
        if line["what"] == "recovered":
            recovered[line["partition"]] = max(recovered.get(line["partition"], 0), line["runs"])
            if sum(recovered.values()) >= runs:
                return float(line["t"] - first)
    return None
