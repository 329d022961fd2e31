"""A missing service skips on a laptop and fails in CI."""

import pytest

from tests.support import service_missing

pytestmark = pytest.mark.unit


def test_a_missing_service_skips_on_a_laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without CI set the test is skipped with the reason."""
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no broker"):
        service_missing("no broker")


def test_a_missing_service_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """With CI set it fails, so that a missing broker never makes CI green."""
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="no broker"):
        service_missing("no broker")
