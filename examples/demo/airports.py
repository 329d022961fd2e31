"""The demo's flows: a CSV file arrives, is loaded into a warehouse, and a report follows from that."""

import os
from pathlib import Path

import duckdb

from flows import emit_event, event_trigger, flow, object_created, task

FOLDER = Path(os.environ.get("ENSUE_DEMO", ".ensue/demo"))
LANDING = FOLDER / "landing"
WAREHOUSE = FOLDER / "warehouse.duckdb"


COLUMNS = {
    "iata": "VARCHAR",
    "name": "VARCHAR",
    "city": "VARCHAR",
    "state": "VARCHAR",
    "country": "VARCHAR",
    "latitude": "DOUBLE",
    "longitude": "DOUBLE",
}


# A DuckDB file has one writer at a time: when two files arrive together, the second load tries again.
@task(retries=5, retry_delay_s=0.2)
def load_file_to_warehouse(file_name: str) -> int:
    """Load a CSV file into a typed table; the same file again replaces its rows."""
    declared = ", ".join(f"{column} {kind}" for column, kind in COLUMNS.items())
    with duckdb.connect(str(WAREHOUSE)) as warehouse:
        warehouse.execute(f"CREATE TABLE IF NOT EXISTS airports ({declared}, PRIMARY KEY (iata))")
        warehouse.execute(
            "INSERT OR REPLACE INTO airports "
            "SELECT * FROM read_csv($path, header = true, nullstr = 'NA', columns = $columns)",
            {"path": str(LANDING / file_name), "columns": COLUMNS},
        )
        return int(warehouse.execute("SELECT count(*) FROM airports").fetchall()[0][0])


@task
def cleanup(file_name: str) -> None:
    """Take the file out of the landing folder."""
    (LANDING / file_name).unlink(missing_ok=True)


@flow(on=object_created("landing", key="*.csv"), parameters={"file_name": "{{ event.resource.key }}"})
def process_new_file(file_name: str) -> int:
    """Load a new file, clean up, and tell that it is done."""
    rows = load_file_to_warehouse(file_name)
    cleanup(file_name)
    emit_event(
        event="custom.file_processed",
        resource={"prefect.resource.id": f"file.{file_name}"},
        payload={"file_name": file_name, "rows": rows},
    )
    return rows


@task(retries=5, retry_delay_s=0.2)
def count_by_state() -> list[tuple[str, int]]:
    """Count airports by state, the most first."""
    with duckdb.connect(str(WAREHOUSE), read_only=True) as warehouse:
        found = warehouse.execute(
            "SELECT coalesce(state, '(none)'), count(*) FROM airports GROUP BY 1 ORDER BY 2 DESC, 1"
        ).fetchall()
    return [(str(state), int(count)) for state, count in found]


@task
def write(lines: list[str]) -> str:
    """Write the report."""
    path = FOLDER / "report.md"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return str(path)


@flow(
    on=event_trigger("custom.file_processed"),
    parameters={"file_name": "{{ event.payload.file_name }}"},
)
def write_report(file_name: str) -> str:
    """Write how many airports each state has."""
    counts = count_by_state()
    table = [f"| {state} | {count} |" for state, count in counts]
    return write(
        [f"# Airports by state, from {file_name}", "", "| state | airports |", "| --- | --- |", *table]
    )
