"""A burst of files, and flows that misbehave, on the whole system."""

import json
import time
from pathlib import Path

import pytest

from tests.connected.system import System

pytestmark = [pytest.mark.connected, pytest.mark.timeout(300)]

BURST = """
from flows import flow, object_created

@flow(on=object_created("landing", key="*.csv"), parameters={"name": "{{ event.resource.key }}"})
def take(name):
    return name
"""

MISBEHAVING = """
import os
import sys
import time

from flows import event_trigger, flow

@flow(on=event_trigger("bad.raises"))
def raises():
    raise RuntimeError("the file is odd")

@flow(on=event_trigger("bad.hangs"), timeout_s=2)
def hangs():
    time.sleep(3600)

@flow(on=event_trigger("bad.exits"))
def exits():
    sys.exit("gone")

@flow(on=event_trigger("bad.dies"))
def dies():
    os._exit(7)

@flow(on=event_trigger("bad.prints"))
def prints():
    for _ in range(40):
        print("x" * 100_000)
    raise ValueError("printed megabytes")

@flow(on=event_trigger("good.*"))
def good():
    return "fine"
"""
BAD = ("raises", "hangs", "exits", "dies", "prints")


def test_a_thousand_files_start_a_thousand_runs(tmp_path: Path) -> None:
    """1,000 files at once: 1,000 runs, none missing, none double, in SQL within 2 s of the last end."""
    landing = tmp_path / "landing"
    landing.mkdir()
    sources = json.dumps({"landing": {"kind": "folder", "path": str(landing)}})
    with System(tmp_path, BURST, env={"ENSUE_SOURCES": sources}) as system:
        for number in range(1000):
            (landing / f"file-{number:04d}.csv").write_text(f"a,b\n{number},{number}\n", "utf-8")
        assert system.wait_count("SELECT count() FROM runs WHERE state = 'succeeded'", 1000, 120) == 1000
        in_sql = time.time()
        row = system.sql(
            "SELECT count() AS n, uniqExact(id) AS ids, uniqExact(result) AS files, "
            "toUnixTimestamp64Micro(max(ended)) / 1e6 AS last FROM runs"
        )[0]
        assert (int(row["n"]), int(row["ids"]), int(row["files"])) == (1000, 1000, 1000)
        assert in_sql - float(row["last"]) < 2.0


def test_misbehaving_flows_fail_alone(tmp_path: Path) -> None:
    """A flow that raises, hangs, exits, dies or prints megabytes is one failed run; the others succeed."""
    with System(tmp_path, MISBEHAVING) as system:
        events = [{"event": f"bad.{name}", "resource": {"resource.id": name}} for name in BAD]
        events += [
            {"event": "good.one", "resource": {"resource.id": f"good.{number}"}} for number in range(20)
        ]
        assert system.post(events).status_code == 202
        ended = "SELECT count() FROM runs WHERE state IN ('succeeded', 'failed', 'timed_out')"
        assert system.wait_count(ended, len(events), 60) == len(events)
        runs = {
            row["flow"]: row for row in system.sql("SELECT flow, state, error FROM runs WHERE flow != 'good'")
        }
        assert {name: runs[name]["state"] for name in BAD} == {
            "raises": "failed",
            "hangs": "timed_out",
            "exits": "failed",
            "dies": "failed",
            "prints": "failed",
        }
        assert system.count("SELECT count() FROM runs WHERE flow = 'good' AND state = 'succeeded'") == 20
        raised = json.loads(runs["raises"]["error"])
        assert raised["type"] == "RuntimeError"
        assert "the file is odd" in raised["traceback"]
        assert "flows_under_test.py" in raised["traceback"]
        assert "printed megabytes" in json.loads(runs["prints"]["error"])["message"]
        assert len(runs["prints"]["error"]) < 200_000
        failed = system.ensue("why", system.sql("SELECT id FROM runs WHERE flow = 'raises'")[0]["id"])
        assert "the file is odd" in failed.stdout
