"""A running system for a benchmark: `ensue up` in a temporary folder, on free ports."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from streams.local.instance import Instance, read_instance
from streams.local.ports import choose_port

PORTS = ("ENSUE_PORT", "ENSUE_STORE_PORT", "ENSUE_REGISTRY_PORT", "ENSUE_BROKER_PORT")


@contextmanager
def running(flows: str) -> Iterator[Instance]:
    """Start everything with these flows; stop it at the end."""
    with TemporaryDirectory(prefix="ensue-bench-") as folder:
        data = Path(folder) / "data"
        file = Path(folder) / "bench_flows.py"
        file.write_text(flows, "utf-8")
        env = {**os.environ, **{name: str(choose_port()) for name in PORTS}}
        command = [sys.executable, "-m", "streams.cli.main", "up", "--detach", str(file), "--data", str(data)]
        subprocess.run(command, check=True, env=env, cwd=folder)
        instance = read_instance(data)
        if instance is None:
            raise SystemExit(f"`ensue up` ended: {json.dumps([*map(str, data.glob('logs/*'))])}")
        try:
            yield instance
        finally:
            os.kill(instance.pid, signal.SIGTERM)
            subprocess.run(
                [sys.executable, "-m", "streams.cli.main", "down", "--data", str(data)], check=False
            )
