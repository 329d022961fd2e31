"""Small parts of a run: results, failures, time limits, output, life cycle."""

import time
from enum import StrEnum

import pytest

from flows import failure, result
from flows.core import lifecycle
from flows.deadline import deadline
from flows.errors import TaskTimedOut
from streams.runs.child_output import Output

pytestmark = pytest.mark.unit


class Colour(StrEnum):
    """A text that is an enum."""

    RED = "red"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        ((1, [2.5, "ü"], {"a": True}), '[1,[2.5,"ü"],{"a":true}]'),
        (Colour.RED, '"red"'),
        (float("nan"), None),
        ({1: "a"}, None),
        ({"a": object()}, None),
        ("\ud800", None),
        (b"x", None),
        ("x" * result.RESULT_BYTES_MAX, None),
    ],
)
def test_only_json_is_kept_as_a_result(value: object, text: str | None) -> None:
    """What does not come back from JSON as it went in, a tuple aside, is not kept."""
    assert result.as_json(value) == text


def test_a_result_that_holds_itself_is_not_kept() -> None:
    """Endless nesting ends at a bound."""
    value: list[object] = []
    value.append(value)
    assert result.as_json(value) is None


def test_a_failure_shows_causes_and_survives_broken_exceptions() -> None:
    """The traceback has the cause; an exception whose text cannot be made is still described."""

    class BrokenError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def fails() -> None:
        try:
            {}["inner"]  # type: ignore[index]
        except KeyError as error:
            raise BrokenError from error

    with pytest.raises(BrokenError) as caught:
        fails()
    told = failure.describe(caught.value)
    assert told["type"] == "BrokenError"
    assert "RuntimeError" in told["message"]
    assert "in fails" in told["traceback"]
    assert "KeyError: 'inner'" in told["traceback"]
    long = failure.as_json(ValueError("x" * 100_000))
    assert len(long) < 2 * (failure.TRACEBACK_CHARS_MAX + failure.MESSAGE_CHARS_MAX)


def test_time_limits_nest() -> None:
    """The inner limit stops the inner block only, and the outer one still counts."""

    def nested() -> None:
        with deadline(0.3, "outer"):
            with pytest.raises(TaskTimedOut, match="inner"), deadline(0.05, "inner"):
                time.sleep(5)
            time.sleep(5)

    start = time.monotonic()
    with pytest.raises(TaskTimedOut, match="outer"):
        nested()
    assert 0.25 < time.monotonic() - start < 1
    with deadline(0.01, "quick"):
        pass
    time.sleep(0.03)


def test_output_is_kept_in_constant_memory() -> None:
    """However much is printed, and in whatever pieces, memory stays bounded and both ends are kept."""
    output = Output(1000)
    output.add(b"begin ")
    for _ in range(1000):
        output.add(b"0123456789" * 100)
    output.add(b" end")
    assert len(output._head) + len(output._tail) <= 2000
    text = output.text()
    assert text.startswith("begin 0123")
    assert text.endswith("789 end")
    assert f"{1_000_010 - 1000} bytes left out" in text
    output.clear()
    output.add("ä".encode())
    assert output.text() == "ä"


def test_nothing_follows_a_terminal_state() -> None:
    """Terminal states of runs are final; every other state has a way on, and a failed task may run again."""
    for state in lifecycle.RUN_STATES:
        following = [other for other in lifecycle.RUN_STATES if lifecycle.run_may(state, other)]
        assert bool(following) == (state not in lifecycle.RUN_TERMINAL), state
    assert lifecycle.run_may("parked", "claimed")
    assert lifecycle.task_may("failed", "running")
    assert not lifecycle.task_may("succeeded", "running")
