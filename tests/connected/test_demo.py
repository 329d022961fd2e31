"""`make demo`, as a person runs it, with nothing on PATH: no java, no mvn, no docker."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streams.local.instance import read_instance
from streams.local.ports import choose_port

pytestmark = [pytest.mark.connected, pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[2]
PORTS = ("ENSUE_PORT", "ENSUE_STORE_PORT", "ENSUE_REGISTRY_PORT", "ENSUE_BROKER_PORT")
READY_S_MAX = 15.0


def environment() -> dict[str, str]:
    """Return this environment with an empty PATH and free ports."""
    return {**os.environ, "PATH": "", "CI": "1", **{name: str(choose_port()) for name in PORTS}}


def test_the_demo_tells_the_whole_chain(tmp_path: Path) -> None:
    """The demo prints the file, both runs and every task, in the order in which they happened."""
    env = environment()
    script = [sys.executable, str(ROOT / "examples" / "demo" / "run.py")]
    done = subprocess.run(script, capture_output=True, text=True, cwd=tmp_path, env=env, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    first = done.stdout.partition("3. Why did")[2].partition("4. Why did")[0]
    told = (
        "event storage.object.created airports.csv from landing",
        "trigger process_new_file fired: because airports.csv was created in bucket landing",
        "flow process_new_file succeeded",
        "task load_file_to_warehouse succeeded",
        "task cleanup succeeded",
        "event custom.file_processed",
        "trigger write_report fired",
        "flow write_report succeeded",
        "task count_by_state succeeded",
        "task write succeeded",
    )
    places = [first.find(text) for text in told]
    assert -1 not in places, first
    assert places == sorted(places), first
    assert re.search(r"AK \| 263", done.stdout)
    assert not (tmp_path / ".ensue" / "demo" / "landing" / "airports.csv").exists()
    ready_again_in_time(tmp_path, env)


def ready_again_in_time(folder: Path, env: dict[str, str]) -> None:
    """Start the same folder again: ready within 15 s, history and all."""
    began = time.monotonic()
    ensue = [sys.executable, "-m", "streams.cli.main"]
    subprocess.run(
        [*ensue, "up", "--detach"], check=True, cwd=folder, env=env, timeout=120, capture_output=True
    )
    took_s = time.monotonic() - began
    try:
        assert read_instance(folder / ".ensue") is not None
        listed = subprocess.run(
            [*ensue, "runs", "--json"], check=True, cwd=folder, env=env, timeout=60, capture_output=True
        )
        assert {run["state"] for run in json.loads(listed.stdout)} == {"succeeded"}
    finally:
        subprocess.run([*ensue, "down"], check=True, cwd=folder, env=env, timeout=120, capture_output=True)
    print(f"ready in {took_s:.1f} s")
    assert took_s < READY_S_MAX
