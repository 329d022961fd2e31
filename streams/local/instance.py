"""What runs in a data folder: written by `ensue up`, read by every other command."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FILE = "up.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A running `ensue up` and where its parts listen."""

    pid: int
    started: float  # seconds since the epoch
    api_url: str
    clickhouse_url: str
    registry_url: str
    bootstrap_servers: str
    state: str = "starting"  # starting | ready | stopping
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)  # name → pid, state, restarts

    def write(self, data: Path) -> None:
        """Replace the file in `data` in one step."""
        write_json(data / FILE, asdict(self))


def read_instance(data: Path) -> Instance | None:
    """Return the instance of `data` when its supervisor is alive, else None."""
    try:
        instance = Instance(**json.loads((data / FILE).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return instance if process_alive(instance.pid) else None


def process_alive(pid: int) -> bool:
    """Tell whether a process with this pid exists and has not ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's, and alive
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return not Path("/proc/self/stat").exists()


def write_json(path: Path, value: object) -> None:
    """Write JSON so that a reader sees the old or the new file, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(value, indent=1), "utf-8")
    part.replace(path)
