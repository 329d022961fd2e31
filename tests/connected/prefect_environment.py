"""A real Prefect in an environment of its own, built once and kept in the cache."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from streams.gateway.prefect.http import VERSION
from streams.local.jars import cache_root
from tests.support import service_missing

BUILD_WITHIN_S = 600


def prefect_python() -> Path:
    """The Python that has Prefect; builds it when it is not there, skips when that cannot be done."""
    folder = cache_root() / f"prefect-{VERSION}"
    python, done = folder / "bin" / "python", folder / "installed"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"prefect-{VERSION}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            for command in (
                [sys.executable, "-m", "venv", str(folder)],
                [str(python), "-m", "pip", "install", "-q", f"prefect=={VERSION}"],
            ):
                built = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_WITHIN_S)
                if built.returncode:
                    service_missing(f"prefect {VERSION} cannot be installed: {built.stderr[-500:]}")
            done.touch()
    return python


def prefect_env(home: Path, api_url: str) -> Mapping[str, str]:
    """The variables of a client of ours that asks nobody else."""
    home.mkdir(exist_ok=True)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "ENSUE"))},
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": api_url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
