"""Kill -9 of each process in turn while events flow: every 2xx is one row and one run."""

import os
import time
from pathlib import Path

import pytest

from tests.connected.poster import Poster
from tests.connected.system import System

FLOWS = """
from flows import event_trigger, flow

@flow(on=event_trigger("kill.test"), parameters={"number": "{{ event.payload.number }}"})
def count_it(number):
    return number
"""
PARTS = ("sink", "gateway", "router", "worker", "registry", "store", "broker")
EVENTS = 5_000
UP_WITHIN_S = 15.0


def kill_rounds(system: System, *, rounds: int, events: int) -> tuple[Poster, list[str]]:
    """Post `events` while killing each part in turn, `rounds` times; return what was seen."""
    poster = Poster(system, total=events, per_s=events / (rounds * len(PARTS) * 4.0))
    poster.start()
    seen = []
    for number in range(rounds):
        for part in PARTS:
            time.sleep(2.0)
            behind = behind_now(system, poster)
            killed = kill_when_up(system, part)
            seen.append(
                f"round {number + 1}: killed {part} {killed}, {behind} acknowledged events not yet stored"
            )
            print(seen[-1], flush=True)
            time.sleep(1.5)
    poster.join(240 + rounds * 10)
    return poster, seen


def behind_now(system: System, poster: Poster) -> int:
    """How many acknowledged events are not rows yet, waiting a while for some; -1 when nobody can tell."""
    behind = -1
    for _ in range(200):
        rows = stored(system)
        behind = -1 if rows is None else len(poster.acknowledged) - rows
        if behind > 0 or poster.done.is_set():
            break
    return behind


def kill_when_up(system: System, part: str) -> bool:
    """Kill a part; one that is still down from its last kill is waited for."""
    until_s = time.monotonic() + UP_WITHIN_S
    while not system.kill(part):
        if time.monotonic() > until_s:
            return False
        time.sleep(0.2)
    return True


def stored(system: System) -> int | None:
    """Rows of this test in SQL, or None while the store cannot tell."""
    try:
        return system.count("SELECT count() FROM events WHERE event = 'kill.test'")
    except Exception:
        return None


def check(system: System, poster: Poster) -> None:
    """The ledger: acknowledged = stored = started, each once."""
    total = len(poster.acknowledged)
    assert not poster.refused, poster.refused[:3]
    system.wait_count("SELECT count() FROM events WHERE event = 'kill.test'", total, 60)
    system.wait_count("SELECT uniqExact(id) FROM runs WHERE state = 'succeeded'", total, 240 + total / 100)
    time.sleep(3.0)
    rows = system.sql("SELECT count() AS n, uniqExact(id) AS ids FROM events WHERE event = 'kill.test'")[0]
    assert (int(rows["n"]), int(rows["ids"])) == (total, total)
    runs = system.sql("SELECT count() AS n, uniqExact(id) AS ids FROM runs")[0]
    assert (int(runs["n"]), int(runs["ids"])) == (total, total)
    assert system.count("SELECT count() FROM runs WHERE state != 'succeeded'") == 0
    terminal = "SELECT count() - uniqExact(run_id) FROM run_log WHERE state = 'succeeded'"
    assert system.count(terminal) == 0
    firings = system.sql(
        "SELECT count() AS n, uniqExact(id) AS ids, uniqExact(event_ids[1]) AS events FROM firings"
    )[0]
    assert (int(firings["n"]), int(firings["ids"]), int(firings["events"])) == (total, total, total)


def behind_of(seen: list[str]) -> list[int]:
    """How far behind the store was at each kill."""
    return [int(line.split(", ")[1].split()[0]) for line in seen]


@pytest.mark.connected
@pytest.mark.timeout(600)
def test_every_acknowledged_event_is_one_row_and_one_run(tmp_path: Path) -> None:
    """Two rounds of kill -9 of every part lose nothing and double nothing."""
    with System(tmp_path, FLOWS) as system:
        poster, seen = kill_rounds(system, rounds=2, events=EVENTS)
        check(system, poster)
        for number in (1, 2):
            behind = behind_of([line for line in seen if line.startswith(f"round {number}")])
            assert any(count > 0 for count in behind), "a round with nothing in flight proves nothing"


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_fifty_rounds_lose_nothing(tmp_path: Path) -> None:
    """Fifty rounds of kill -9 of every part lose nothing and double nothing."""
    rounds = int(os.environ.get("ENSUE_SOAK_ROUNDS", "50"))
    with System(tmp_path, FLOWS) as system:
        poster, seen = kill_rounds(system, rounds=rounds, events=rounds * 400)
        check(system, poster)
        assert sum(count > 0 for count in behind_of(seen)) >= rounds
        assert sum(" True," in line for line in seen) >= 0.9 * len(seen), "too few kills hit"
