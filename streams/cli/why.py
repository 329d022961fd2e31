"""`ensue why`: why something happened, and what came of it."""

import sys
from datetime import datetime
from typing import Annotated, Any

import typer

from streams.cli.context import load_settings, need
from streams.cli.options import DataOption, JsonOption
from streams.cli.output import NOTHING_FOUND, cell_text, print_json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("why")(why)


def why(
    what: Annotated[
        str, typer.Argument(metavar="ID", help="Of a run, event, firing or task run; a unique start will do.")
    ],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why something happened: event, trigger and its reason, run, tasks, and what it caused.

    \b
    ensue why 01a20465-1012-86d8-ad67-989b82f3945f
    ensue why 01a20465-1012-86d8 --json
    """  # noqa: D301 - \b keeps typer from joining the example's lines
    # Late, so that `ensue --help` loads no client.
    from streams.store.queries.reader import StoreReader
    from streams.store.queries.why import why as ask_why

    settings = load_settings(data)
    need(settings.clickhouse.url, "store", "ENSUE_CLICKHOUSE__URL")
    store = StoreReader(settings.clickhouse)
    try:
        answer = ask_why(store, what)
    except LookupError as error:
        print(f"ensue: {error.args[0]}", file=sys.stderr)
        raise typer.Exit(NOTHING_FOUND) from error
    finally:
        store.close()
    if as_json:
        print_json(answer)
        return
    for line in render(answer["subject"], answer["up"], answer["down"]):
        print(line)


def render(subject: dict[str, Any], up: list[dict[str, Any]], down: list[dict[str, Any]]) -> list[str]:
    """Return the answer as lines: causes above, the subject marked, effects indented below."""
    lines: list[str] = []
    for node in up:
        lines += describe(node, "  ")
    lines += describe(subject, "> ")
    below: dict[str, list[dict[str, Any]]] = {}
    for node in down:
        below.setdefault(str(node["cause"]), []).append(node)

    def descend(cause: str, indent: str) -> None:
        for node in below.get(cause, []):
            lines.extend(describe(node, indent))
            descend(node["id"], indent + "  ")

    descend(subject["id"], "    ")
    return lines


def describe(node: dict[str, Any], indent: str) -> list[str]:
    """Return a node's lines: when, what, how long after its cause; a run's tasks below it."""
    kind = node["kind"]
    text = {"event": _event, "firing": _firing, "run": _run, "task_run": _task, "verdict": _verdict}[kind](
        node
    )
    at, delay_s = moment(node)
    after = "" if delay_s is None else f"  (+{duration(delay_s)})"
    lines = [f"{clock(at)} {indent}{text}{after}"]
    pad = " " * len(clock(at)) + f" {' ' * len(indent)}  "
    if kind == "event":
        lines.append(f"{pad}resource {cell_text(node['resource_id'])}, id {node['id']}")
    if kind == "run":
        lines.append(f"{pad}run {node['id']}, parameters {cell_text(node['parameters'])}")
        lines += [f"{pad}{task_line(task)}" for task in node.get("tasks", [])]
        lines += failure_lines(node.get("error"), pad)
    return lines


def moment(node: dict[str, Any]) -> tuple[str, float | None]:
    """Return when a node is shown and how long after its cause; a run counts from its first line."""
    at, delay_s = str(node["at"]), node.get("delay_s")
    if node["kind"] != "run" or not node.get("started"):
        return at, delay_s
    started = str(node["started"])
    waited_s = (datetime.fromisoformat(started) - datetime.fromisoformat(at)).total_seconds()
    return started, None if delay_s is None else delay_s + waited_s


def _event(node: dict[str, Any]) -> str:
    file = f" {cell_text(node['file'])}" if node.get("file") else ""
    source = f" from {cell_text(node['source'])}" if node.get("source") else ""
    return f"event {cell_text(node['event'])}{file}{source}"


def _firing(node: dict[str, Any]) -> str:
    reason = node.get("reason")
    because = reason.get("text", "") if isinstance(reason, dict) else ""
    return f"trigger {cell_text(node['trigger'])} fired: {cell_text(because)}"


def _verdict(node: dict[str, Any]) -> str:
    reason = node.get("reason")
    because = reason.get("text", "") if isinstance(reason, dict) else ""
    return f"trigger {cell_text(node['trigger'])} did not fire, {node['verdict']}: {cell_text(because)}"


def _run(node: dict[str, Any]) -> str:
    took = "" if node.get("duration_s") is None else f" in {duration(node['duration_s'])}"
    return f"flow {cell_text(node['flow'])} {node['state']}{took}"


def _task(node: dict[str, Any]) -> str:
    took = "" if node.get("duration_s") is None else f" in {duration(node['duration_s'])}"
    return f"task {cell_text(node['task'])} {node['state']}{took}"


def task_line(task: dict[str, Any]) -> str:
    """Return one line of a run's task."""
    attempt = f" (attempt {task['attempt']})" if task.get("attempt", 1) > 1 else ""
    after = "" if task.get("delay_s") is None else f", {duration(task['delay_s'])} after the run's start"
    return f"- {_task(task)}{attempt}{after}"


def failure_lines(error: Any, pad: str) -> list[str]:
    """Return a failed run's own traceback."""
    if not isinstance(error, dict):
        return []
    lines = [f"{pad}{cell_text(error.get('type'))}: {cell_text(error.get('message'))}"]
    return lines + [f"{pad}| {line}" for line in str(error.get("traceback") or "").splitlines()]


def clock(at: str) -> str:
    """Return the time of day to the millisecond, with the date."""
    return str(at).replace("T", " ")[:23]


def duration(seconds: float) -> str:
    """Return a span in the unit that reads well."""
    if abs(seconds) < 1:
        return f"{seconds * 1000:.0f} ms"
    if abs(seconds) < 120:
        return f"{seconds:.2f} s"
    return f"{seconds / 60:.1f} min"
