"""When a worker counts as stuck."""

import threading

import pytest

from streams.agents.watchdog import EXIT_STUCK, Watchdog, complaint
from streams.kafka.reader import Progress

pytestmark = pytest.mark.unit


def _progress(position: int, end: int, moved_s: float) -> Progress:
    return Progress(topic="runs", partition=2, position=position, end=end, waiting=0, moved_s=moved_s)


def _judge(now_s: float, progress: list[Progress], heard_s: float) -> str | None:
    return complaint(now_s, progress=progress, heard_s={"the loop": heard_s}, stuck_s=30, silent_s=60)


def test_a_partition_with_records_that_stands_still_is_stuck():
    """Lag and no movement for 30 s is a complaint that names place and position."""
    found = _judge(100, [_progress(5, 9, 60)], 100)
    assert found is not None
    assert "runs[2] stands at 5 of 9 for 40 s" in found


@pytest.mark.parametrize("fine", [_progress(9, 9, 0), _progress(5, 9, 80)])
def test_an_idle_partition_and_a_moving_one_are_fine(fine):
    """Without lag nothing is stuck, and slow is not stuck."""
    assert _judge(100, [fine], 100) is None


def test_silence_is_a_complaint():
    """A part that shows no life for 60 s ends the worker."""
    assert "the loop has been silent for 70 s" in str(_judge(100, [], 30))


def test_a_stuck_worker_ends_with_70(monkeypatch, capfd):
    """The watchdog dumps the stacks and ends the process with the code the supervisor knows."""
    monkeypatch.setattr("streams.agents.watchdog._LOOK_EVERY_S", 0.02)
    ended, codes = threading.Event(), []

    class Reader:
        polled_s = 0.0

        def ask_ends(self, still_for_s: float) -> None: ...

        def progress(self) -> list[Progress]:
            return []

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    dog = Watchdog(Reader(), dict, silent_s=0.01, end=end)
    dog.start()
    assert ended.wait(5)
    assert codes == [EXIT_STUCK]
    assert "Thread" in capfd.readouterr().err
