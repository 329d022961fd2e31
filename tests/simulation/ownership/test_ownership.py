"""Ownership under the nemesis: 60 s here, 15 minutes and the unprotected variant in `make soak`."""

import os
import time
from pathlib import Path

import pytest

from tests.simulation.ownership.cluster import create_topics
from tests.simulation.ownership.experiment import Outcome, run
from tests.simulation.ownership.fence_cost import fence_cost

UNOWNED_S_MAX = 15.0
SESSION_S = 8.0
SEED = int(os.environ.get("ENSUE_TEST_SEED", "0")) or int(time.time())


def _judge(outcome: Outcome) -> None:
    print(outcome, flush=True)
    verdict = outcome.verdict
    assert verdict.lost == 0, outcome
    assert verdict.double == 0, outcome
    assert verdict.miscounted == 0, outcome
    # While the broker itself stands still nobody can take anything over: that is the machine, not the owner.
    assert verdict.unowned_s_max <= UNOWNED_S_MAX + outcome.broker_silent_s, outcome
    assert verdict.shortened > 0, outcome
    # Seen once in some hours of pauses: librdkafka's heap broke in a fenced zombie. It is a kill like others.
    assert outcome.native <= 1, outcome


@pytest.mark.simulation
@pytest.mark.timeout(400)
def test_owners_come_and_go_and_nothing_is_lost_or_done_twice(own_broker: str, tmp_path: Path) -> None:
    """Kills, pauses, joins and leaves lose no run, end none twice and leave no partition alone for 15 s."""
    outcome = run(
        own_broker,
        tmp_path,
        seed=SEED,
        duration_s=60,
        old_runs=100_000,
        burst=10_000,
        session_s=SESSION_S,
    )
    _judge(outcome)
    assert outcome.unclean >= 2, outcome
    assert outcome.recovered_s is not None, outcome
    assert outcome.recovered_s <= 30, outcome
    assert outcome.accepted_per_s >= 1_000, outcome


@pytest.mark.simulation
@pytest.mark.timeout(120)
def test_the_fence_costs_milliseconds_at_most(own_broker: str) -> None:
    """At 200 writes/s the fence adds less than 5 ms at the median beside a plain producer in the same run."""
    create_topics(own_broker)
    fenced, plain = fence_cost(own_broker, "run-log", writes=1_000)
    print(fenced, plain, sep="\n")
    assert fenced.p50_ms <= plain.p50_ms + 5


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_ownership_for_a_quarter_of_an_hour(own_broker: str, tmp_path: Path) -> None:
    """The same for 15 minutes."""
    outcome = run(
        own_broker,
        tmp_path,
        seed=SEED,
        duration_s=900,
        old_runs=100_000,
        burst=10_000,
        session_s=SESSION_S,
    )
    _judge(outcome)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_without_the_fence_runs_end_twice(own_broker: str, tmp_path: Path) -> None:
    """With plain producers the same nemesis is seen to end runs twice: the fence is what prevents it."""
    outcome = run(own_broker, tmp_path, seed=SEED, duration_s=90, kind="plain", session_s=SESSION_S)
    print(outcome, flush=True)
    assert outcome.verdict.double > 0, outcome
