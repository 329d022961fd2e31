"""A supervised part is restarted with back-off, says when it is ready, and is stopped."""

import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from streams.errors import EnsueError
from streams.local.instance import Instance, process_alive, read_instance
from streams.local.notice import announce_ready, read_notice
from streams.local.process import PartProcess, describe_exit
from streams.local.supervisor import Supervisor

pytestmark = pytest.mark.unit
WAITS = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("up", flush=True)
time.sleep(60)
"""


def part(tmp_path: Path, code: str) -> PartProcess:
    """A part that runs this code."""
    return PartProcess(name="part", argv=[sys.executable, "-c", code], data=tmp_path, env={})


def until(condition: object, timeout_s: float = 20.0) -> bool:
    """Wait until a condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_a_part_that_ends_is_started_again(tmp_path: Path) -> None:
    """After an exit the part is started again, its exit told in words and its output kept."""
    one = part(tmp_path, "print('once more', flush=True)")
    one.start()
    said: list[str] = []

    def twice() -> bool:
        said.extend(filter(None, [one.tend()]))
        return one.restarts == 1

    assert until(twice)
    assert said[0] == "part ended with exit code 0; starts again in 0.2 s"
    one.wait(10)
    assert one.log_path.read_text("utf-8").count("once more") == 2


def test_a_part_is_ready_when_it_says_so_itself(tmp_path: Path) -> None:
    """A notice counts only when the running process wrote it."""
    one = part(tmp_path, WAITS)
    one.start()
    try:
        announce_ready(tmp_path, "part", port=1)
        assert not one.ready
        notice = tmp_path / "run" / "part.json"
        notice.write_text(json.dumps({"pid": one.pid, "ready": True}), "utf-8")
        assert one.ready
        assert read_notice(tmp_path, "part", one.pid or 0) == {"pid": one.pid, "ready": True}
    finally:
        one.signal(9)
        one.wait(5)


def test_stopping_stops_every_part_and_leaves_no_instance(tmp_path: Path) -> None:
    """A stop ends every part and removes what told others where they listen."""
    instance = Instance(
        pid=1, started=0.0, api_url="a", clickhouse_url="c", registry_url="r", bootstrap_servers="b"
    )
    commands = {name: [sys.executable, "-c", WAITS] for name in ("gateway", "broker")}
    said: list[str] = []
    supervisor = Supervisor(data=tmp_path, instance=instance, commands=commands, env={}, say=said.append)
    supervisor.start()
    parts = supervisor.parts.values()
    assert until(lambda: all(p.log_path.exists() and "up" in p.log_path.read_text("utf-8") for p in parts))
    pids = [p.pid for p in parts]
    found = read_instance(tmp_path)
    assert found is not None
    assert found.parts["broker"]["pid"] == supervisor.parts["broker"].pid
    supervisor.stop()
    assert not any(process_alive(pid or 0) for pid in pids)
    assert read_instance(tmp_path) is None
    assert said == []


def test_a_comeback_is_told_to_those_who_ask_for_the_status(tmp_path: Path) -> None:
    """A part killed and ready again is `ready` with its new pid in the file that `ensue status` reads."""
    instance = Instance(
        pid=os.getpid(), started=0.0, api_url="a", clickhouse_url="c", registry_url="r", bootstrap_servers="b"
    )
    commands = {"gateway": [sys.executable, "-c", WAITS]}
    supervisor = Supervisor(data=tmp_path, instance=instance, commands=commands, env={}, say=lambda _: None)
    part = supervisor.parts["gateway"]

    def told() -> bool:
        """Say that the part is ready, as it would itself; read what others are told."""
        notice = tmp_path / "run" / "gateway.json"
        notice.parent.mkdir(exist_ok=True)
        if part.pid:
            notice.write_text(json.dumps({"pid": part.pid, "ready": True}), "utf-8")
        found = read_instance(tmp_path)
        return found is not None and (
            found.parts["gateway"]["state"] == "ready" and found.parts["gateway"]["pid"] == part.pid
        )

    supervisor.start()
    running = threading.Thread(target=supervisor.run)
    running.start()
    try:
        assert until(told)
        first = part.pid
        part.signal(9)
        assert until(lambda: part.pid != first and part.pid is not None and told())
    finally:
        supervisor.request_stop()
        running.join(10)
        supervisor.stop()


def test_a_part_that_never_gets_ready_is_told_with_its_log(tmp_path: Path) -> None:
    """A part that ends again and again stops the start, with the end of its log."""
    instance = Instance(
        pid=1, started=0.0, api_url="a", clickhouse_url="c", registry_url="r", bootstrap_servers="b"
    )
    commands = {"store": [sys.executable, "-c", "import sys; sys.exit('no room on the disk')"]}
    supervisor = Supervisor(data=tmp_path, instance=instance, commands=commands, env={}, say=lambda _: None)
    supervisor.start()
    with pytest.raises(EnsueError, match="no room on the disk"):
        supervisor.wait_ready(["store"], 30.0)
    supervisor.stop()


def test_exits_are_told_in_words() -> None:
    """A signal is named."""
    assert describe_exit(-9) == "signal SIGKILL"
    assert describe_exit(70) == "exit code 70"
