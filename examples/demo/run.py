"""`make demo`: a real file arrives in a watched folder, two flows run, and Ensue says why.

Uses nothing but the console script, as a person would. CI=1 stops everything at the end.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CSV = HERE / "data" / "airports.csv"
FLOWS = HERE / "airports.py"
RUN_TIMEOUT_S = 60.0
QUESTION = (
    "SELECT flow, count() AS runs, countIf(state = 'succeeded') AS succeeded, "
    "round(avg(date_diff('millisecond', requested, started))) AS ms_to_start, "
    "round(avg(date_diff('millisecond', started, ended))) AS ms_running "
    "FROM runs GROUP BY flow ORDER BY min(requested)"
)


def fresh_folder() -> Path:
    """Return ./.ensue when nothing is there yet, else a new folder beside it."""
    folder, number = Path(".ensue"), 1
    while folder.exists():
        folder, number = Path(f".ensue-demo-{number}"), number + 1
    return folder


def ensue(*arguments: str, data: Path, check: bool = True) -> str:
    """Run the console script and return what it printed."""
    command = [sys.executable, "-m", "streams.cli.main", *arguments, "--data", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode:
        sys.exit(f"`ensue {' '.join(arguments)}` failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def step(text: str) -> None:
    """Show what happens next."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def wait_for_runs(data: Path) -> list[dict[str, Any]]:
    """Return the runs of both flows once both have ended."""
    deadline = time.monotonic() + RUN_TIMEOUT_S
    while time.monotonic() < deadline:
        text = ensue("runs", "--json", data=data, check=False)
        runs: list[dict[str, Any]] = json.loads(text or "[]")
        if len(runs) >= 2 and all(run["state"] in {"succeeded", "failed", "timed_out"} for run in runs):
            return sorted(runs, key=lambda run: str(run["requested"]))
        time.sleep(0.3)
    sys.exit(f"the two runs did not end within {RUN_TIMEOUT_S:g} s; see {data / 'logs'}")


def start(data: Path) -> Path:
    """Start everything with a watched folder; return that folder."""
    demo = (data / "demo").absolute()
    landing = demo / "landing"
    landing.mkdir(parents=True)
    os.environ["ENSUE_DEMO"] = str(demo)
    os.environ["ENSUE_SOURCES"] = json.dumps({"landing": {"kind": "folder", "path": str(landing)}})
    command = [sys.executable, "-m", "streams.cli.main", "up", "--detach", str(FLOWS), "--data", str(data)]
    if subprocess.run(command, check=False).returncode:
        sys.exit(1)
    return landing


def main() -> None:
    """Tell the story."""
    data = fresh_folder()
    step(f"1. Start everything (data in {data}; the first time, the broker's jars are fetched)")
    landing = start(data)
    try:
        step(f"2. A file arrives: {CSV.name}, {CSV.stat().st_size:,} bytes, in {landing}")
        shutil.copyfile(CSV, landing / CSV.name)
        runs = wait_for_runs(data)
        for number, run in enumerate(runs, 3):
            step(f"{number}. Why did {run['flow']} run?   ensue why {run['id']}")
            print(ensue("why", run["id"], data=data), end="")
        step("5. A question in SQL")
        print(QUESTION)
        print(ensue("sql", QUESTION, data=data), end="")
        report = (data / "demo" / "report.md").read_text("utf-8").splitlines()
        step(f"6. What the second flow wrote ({data / 'demo' / 'report.md'})")
        print("\n".join(report[:7]))
        if any(run["state"] != "succeeded" for run in runs):
            sys.exit("a run did not succeed; see above")
    finally:
        if os.environ.get("CI"):
            step("Stopping, because CI is set")
            print(ensue("down", data=data, check=False), end="")
    if not os.environ.get("CI"):
        say_what_next(data, landing)


def say_what_next(data: Path, landing: Path) -> None:
    """Print what to try while everything stays up."""
    option = "" if data == Path(".ensue") else f" --data {data}"
    step("It stays up. Try next:")
    print(
        f"  source .venv/bin/activate\n  cp YOUR.csv {landing}/\n  ensue events{option}\n  ensue runs{option}"
    )
    payload = json.dumps({"file_name": "again"})
    print(f"  ensue emit custom.file_processed --resource file.again --payload '{payload}'{option}")
    print(f"  ensue status{option}\n  ensue down{option}")


if __name__ == "__main__":
    main()
