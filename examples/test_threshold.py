"""The flow of threshold.py counts for each user apart."""

from datetime import timedelta

import pytest

from examples.threshold import lock_account
from flows import Event
from flows.testing import START, Harness, make_event

pytestmark = pytest.mark.unit


def failed(user: str, second: int) -> Event:
    """Return a failed login."""
    return make_event(
        "login.failed",
        {"resource.id": f"account.{user}", "user": user},
        payload={"address": f"10.0.0.{second}"},
        occurred=START + timedelta(seconds=second),
    )


def test_the_third_failure_locks_the_account() -> None:
    """Two failures of one user wait while another user's do not count; the third fires with all three."""
    harness = Harness(lock_account)
    assert harness.send(failed("ann", 1), failed("bob", 2), failed("ann", 3)) == []
    assert harness.why(failed("bob", 2))["lock_account"].startswith("waiting: 1 of 3 events with user bob")
    (run,) = harness.send(failed("ann", 4))
    assert run.result == {"locked": "ann", "from": ["10.0.0.1", "10.0.0.3", "10.0.0.4"]}
