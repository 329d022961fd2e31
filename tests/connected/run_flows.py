"""Flows of several manners for the connected tests of runs; each task notes that it was executed."""

import os
import sys
import time
from pathlib import Path

from flows import Event, emit_event, flow, task

NOTES = Path(os.environ.get("ENSUE_TEST_NOTES", os.devnull))


@task
def step(n: int) -> int:
    with NOTES.open("a") as notes:
        notes.write(f"step {n}\n")
    return n + 1


@flow
def three_steps(pause_s: float) -> int:
    n = step(step(0))
    emit_event("steps.done", {"resource.id": "steps"})
    with NOTES.open("a") as notes:
        notes.write("pausing\n")
    time.sleep(pause_s)
    return step(n)


@flow
def raises() -> None:
    raise ValueError("no such thing")


@flow
def exits() -> None:
    sys.exit(3)


@flow
def hangs() -> None:
    time.sleep(600)


@flow(retries=2, retry_delay_s=0.05)
def flaky(marks: str) -> str:
    step(0)
    path = Path(marks)
    before = path.read_text() if path.exists() else ""
    path.write_text(before + "x")
    if len(before) < 2:
        raise ValueError("not yet")
    return before


@flow
def short(event: Event | None = None) -> None:
    """End at once."""
