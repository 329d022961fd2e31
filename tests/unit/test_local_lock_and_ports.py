"""One owner a folder, free ports, pids that are still the same process, children that go with us."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from streams.errors import BadInput, Transport
from streams.local.child import Child, process_birth
from streams.local.lock import FolderLock
from streams.local.ports import choose_port, is_free, wait_listening

pytestmark = pytest.mark.unit


def test_a_held_folder_is_refused_with_the_holder(tmp_path: Path) -> None:
    """The second owner is told the folder, the process and what to do."""
    with FolderLock(tmp_path, "broker"):
        with pytest.raises(BadInput) as told:
            FolderLock(tmp_path, "broker").acquire()
        for part in (str(tmp_path), f"process {os.getpid()}", "ensue down", "--data"):
            assert part in str(told.value)
        with FolderLock(tmp_path, "other"):
            pass
    with FolderLock(tmp_path, "broker") as lock:
        assert lock.held
    assert not lock.held


def test_the_lock_goes_with_its_holder(tmp_path: Path) -> None:
    """After kill -9 of the holder the folder is free, though its child lives on."""
    code = (
        "import sys, time, subprocess; from pathlib import Path; from streams.local.lock import FolderLock\n"
        "FolderLock(Path(sys.argv[1]), 'broker').acquire()\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    try:
        with pytest.raises(BadInput, match=f"process {holder.pid}"):
            FolderLock(tmp_path, "broker").acquire()
        holder.kill()
        holder.wait()
        with FolderLock(tmp_path, "broker"):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        holder.stdout.close()


def test_a_free_port_is_kept_and_a_taken_one_left() -> None:
    """The first free wish wins; with none free the system gives one."""
    wished = choose_port()
    assert choose_port(wished) == wished
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        assert not is_free(taken)
        assert choose_port(taken, wished) == wished
        assert choose_port(taken, None) not in (taken, 0)


def test_waiting_for_a_port_ends() -> None:
    """It returns when something listens, and raises when the time is over or the process is gone."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        wait_listening(server.getsockname()[1], 1, still_alive=lambda: True)
    free = choose_port()
    with pytest.raises(Transport, match="nothing listened"):
        wait_listening(free, 0.1, still_alive=lambda: True)
    with pytest.raises(Transport, match="ended before"):
        wait_listening(free, 10, still_alive=lambda: False)


def test_a_birth_tells_lives_of_a_pid_apart() -> None:
    """Our own birth is stable; a process that has ended has none."""
    assert process_birth(os.getpid()) == process_birth(os.getpid()) is not None
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert process_birth(gone.pid) is None


def test_a_child_runs_reports_and_ends(tmp_path: Path) -> None:
    """Output goes to the file, the exit code is known, signals arrive, late ones do nothing."""
    program = tmp_path / "program.py"
    program.write_text("import os, time; print(os.getcwd(), flush=True); time.sleep(60)", "utf-8")
    with (tmp_path / "out").open("wb") as output:
        child = Child([sys.executable, str(program)], cwd=tmp_path, output=output)
    assert child.exit_code is None
    assert not child.wait(0.3)
    child.send(signal.SIGTERM)
    assert child.wait(10)
    assert child.exit_code == -signal.SIGTERM
    child.send(signal.SIGTERM)
    assert (tmp_path / "out").read_text("utf-8").strip() == str(tmp_path)


def test_a_program_that_is_absent_ends_with_an_error(tmp_path: Path) -> None:
    """The child reports failure; nothing hangs."""
    with (tmp_path / "out").open("wb") as output:
        child = Child([str(tmp_path / "absent")], cwd=tmp_path, output=output)
    assert child.wait(10)
    assert child.exit_code == 1
    assert "absent" in (tmp_path / "out").read_text("utf-8")


def test_a_folder_that_is_absent_raises(tmp_path: Path) -> None:
    """The caller gets the OSError of the start."""
    with (tmp_path / "out").open("wb") as output, pytest.raises(FileNotFoundError):
        Child([sys.executable], cwd=tmp_path / "absent", output=output)
