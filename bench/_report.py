"""What every benchmark prints and keeps: figures, ratios, settings and versions."""

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "confluent-kafka",
    "faust-streaming",
    "fastavro",
    "clickhouse-connect",
    "pydantic",
    "chdb",
    "uvicorn",
)


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return n, p50, p95, p99 and max of `values`."""
    ordered = sorted(values)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2)

    return {"n": len(ordered), "p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": round(ordered[-1], 2)}


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_1m": round(os.getloadavg()[0], 2),
        "versions": {name: version(name) for name in PACKAGES},
    }


def keep(name: str, figures: Mapping[str, Any], settings: Mapping[str, Any]) -> Path:
    """Write a benchmark's JSON under bench/results and return its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    whole = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "machine": machine()}
    path.write_text(
        json.dumps({**whole, "settings": dict(settings), "figures": dict(figures)}, indent=1), "utf-8"
    )
    return path


def table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows in columns."""
    columns = list(rows[0])
    cells = [[str(row.get(column, "")) for column in columns] for row in rows]
    widths = [max(len(column), *(len(line[i]) for line in cells)) for i, column in enumerate(columns)]
    for line in [columns, *cells]:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
