"""Skips are counted by reason, and in CI only listed ones are accepted."""

import fnmatch
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dead_letter_guard import letters_say_why

ALLOWED_FILE = Path(__file__).parent / "allowed_skips.txt"


@pytest.fixture(autouse=True)
def _dead_letters_say_why(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hold for every test that no dead letter is made for a reason that nobody listed.

    A module that draws records at random says so: `DRAWS_RECORDS = True`.
    """
    if getattr(request.module, "DRAWS_RECORDS", False):
        yield
        return
    with letters_say_why():
        yield


def allowed_patterns() -> list[str]:
    """The accepted skip reasons, as shell globs."""
    lines = ALLOWED_FILE.read_text("utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """The reason of a skipped report, without pytest's prefix."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a CI run that skipped for an unlisted reason."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("CI"):
        return
    reasons = Counter(skip_reason(r) for r in reporter.stats.get("skipped", []))
    patterns = allowed_patterns()
    unlisted = [r for r in reasons if not any(fnmatch.fnmatch(r, p) for p in patterns)]
    if unlisted and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print passed, and skipped by reason."""
    stats = terminalreporter.stats
    reasons = Counter(skip_reason(r) for r in stats.get("skipped", []))
    terminalreporter.write_line(f"passed {len(stats.get('passed', []))}, skipped {sum(reasons.values())}")
    for reason, count in reasons.most_common():
        listed = any(fnmatch.fnmatch(reason, p) for p in allowed_patterns())
        terminalreporter.write_line(
            f"  skipped {count}: {reason}{'' if listed else '  (NOT LISTED: fails in CI)'}"
        )
