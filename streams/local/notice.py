"""How a part tells its supervisor that it is ready: a file under DATA/run."""

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streams.local.instance import write_json

PARENT_VARIABLE = "ENSUE_SUPERVISOR_PID"
_POLL_S = 1.0


def notice_path(data: Path, part: str) -> Path:
    """Return where `part` writes its notice."""
    return data / "run" / f"{part}.json"


def announce_ready(data: Path, part: str, **detail: Any) -> None:
    """Tell that `part` of this process is ready; `detail` (ports, partitions) is for `ensue status`."""
    write_json(notice_path(data, part), {"pid": os.getpid(), "ready": True, "at": time.time(), **detail})


def read_notice(data: Path, part: str, pid: int) -> dict[str, Any] | None:
    """Return the notice of `part` if the process `pid` wrote it, else None."""
    try:
        notice: dict[str, Any] = json.loads(notice_path(data, part).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return notice if notice.get("pid") == pid else None


def end_with_supervisor(stop: Callable[[], None]) -> None:
    """Call `stop` once the supervisor that started this process is gone (even by kill -9).

    Does nothing in a process that was not started by a supervisor.
    """
    parent = int(os.environ.get(PARENT_VARIABLE, "0"))
    if not parent:
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL_S)
        stop()

    threading.Thread(target=watch, name="supervisor-watch", daemon=True).start()
