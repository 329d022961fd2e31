"""How the command line reads times and shows rows."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import typer

from streams.cli.emit import labels, problem_text, read_payload
from streams.cli.options import parse_time
from streams.cli.output import cell_text, show
from streams.cli.why import describe, duration, render
from streams.errors import BadInput

pytestmark = pytest.mark.unit
NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("15m", NOW - timedelta(minutes=15)),
        ("2h", NOW - timedelta(hours=2)),
        ("1.5d", NOW - timedelta(days=1.5)),
        ("250ms", NOW - timedelta(milliseconds=250)),
        ("2026-11-22T10:00", datetime(2026, 11, 22, 10, tzinfo=UTC)),
        ("2026-11-22T10:00+02:00", datetime(2026, 11, 22, 8, tzinfo=UTC)),
    ],
)
def test_times_are_relative_or_iso(text: str, expected: datetime) -> None:
    """A time is so long ago, or ISO 8601 in UTC when it has no zone."""
    assert parse_time(text, now=NOW) == expected


@pytest.mark.parametrize("text", ["yesterday", "5", "h", "", "99999999w", "2026-13-01"])
def test_other_times_are_refused_with_the_remedy(text: str) -> None:
    """What is no time is refused and the forms are named."""
    with pytest.raises(BadInput, match=r"write 15m|shorter"):
        parse_time(text, now=NOW)


def test_control_characters_are_shown_not_obeyed() -> None:
    """A cell never carries an escape sequence or a line break to the terminal."""
    text = cell_text("a\x1b[31mred\nnext\u202e")
    assert text == "a\\x1b[31mred\\nnext\\u202e"


def test_no_rows_end_with_exit_code_three(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing found is exit code 3, with a hint for people and an empty list for programs."""
    with pytest.raises(typer.Exit) as ended:
        show([], ["id"], as_json=False, what="runs")
    assert ended.value.exit_code == 3
    assert "no runs found" in capsys.readouterr().err
    with pytest.raises(typer.Exit):
        show([], ["id"], as_json=True, what="runs")
    assert json.loads(capsys.readouterr().out) == []


def test_rows_are_aligned_under_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    """A table has a header and one line a row."""
    show([{"id": "a", "n": 1}, {"id": "bcd", "n": None}], ["id", "n"], as_json=False, what="rows")
    assert capsys.readouterr().out == "ID   N\na    1\nbcd\n"


def test_payloads_must_be_objects() -> None:
    """A payload is a JSON object; anything else is refused with what it is."""
    assert read_payload('{"a": 1}') == {"a": 1}
    with pytest.raises(BadInput, match="not list"):
        read_payload("[1]")
    with pytest.raises(BadInput, match="not JSON"):
        read_payload("{")
    with pytest.raises(BadInput, match="nowhere"):
        read_payload("@/nowhere/at/all.json")


def test_labels_are_pairs() -> None:
    """--label takes NAME=VALUE, the value may hold more equal signs."""
    assert labels(["a=b", "c=d=e"]) == {"a": "b", "c": "d=e"}
    with pytest.raises(BadInput, match="NAME=VALUE"):
        labels(["a"])


def test_problems_are_told_in_one_line() -> None:
    """A problem JSON becomes a sentence with its fields; other answers are quoted."""
    problem = {
        "title": "Refused",
        "detail": "item 0",
        "errors": [{"field": "resource", "reason": "is missing"}],
    }
    assert problem_text(json.dumps(problem), 422) == "Refused: item 0 (resource: is missing)"
    assert problem_text("<html>", 502) == "the gateway answered 502: <html>"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0114, "11 ms"), (1.5, "1.50 s"), (119.9, "119.90 s"), (600, "10.0 min")]
)
def test_spans_read_well(seconds: float, text: str) -> None:
    """A span is given in the unit that reads well."""
    assert duration(seconds) == text


def test_why_shows_causes_tasks_and_effects_in_order() -> None:
    """Causes stand above the subject, its tasks and effects below, each with its delay."""
    base = {"cause": None, "distance": 0, "delay_s": None}
    event = {
        **base,
        "kind": "event",
        "id": "e1",
        "at": "2026-11-22T14:02:07.113000Z",
        "event": "storage.object.created",
        "file": "orders.csv",
        "source": "landing",
        "resource_id": "file://host/orders.csv",
    }
    task = {
        **base,
        "kind": "task_run",
        "task": "load",
        "state": "succeeded",
        "duration_s": 0.2,
        "delay_s": 0.001,
    }
    run = {
        **base,
        "kind": "run",
        "id": "r1",
        "at": "2026-11-22T14:02:07.124000Z",
        "started": "2026-11-22T14:02:07.130000Z",
        "flow": "process",
        "state": "failed",
        "parameters": {"file": "orders.csv"},
        "duration_s": 0.5,
        "delay_s": 0.011,
        "tasks": [task],
        "error": {"type": "ValueError", "message": "odd", "traceback": "line 1\nline 2"},
    }
    effect = {**event, "id": "e2", "event": "custom.done", "cause": "r1", "delay_s": 0.3, "file": None}
    lines = render(run, [event], [effect])
    text = "\n".join(lines)
    places = [
        text.index(part)
        for part in ("orders.csv from landing", "> flow process failed", "- task load", "odd", "custom.done")
    ]
    assert places == sorted(places)
    assert "(+17 ms)" in text
    assert "| line 2" in text
    assert describe(run, "> ")[0].startswith("2026-11-22 14:02:07.130 > flow process failed in 500 ms")
