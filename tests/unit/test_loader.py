"""Loading flow files by path."""

import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows import loader
from flows.errors import LoadError

pytestmark = pytest.mark.unit
FLOW = """
from flows import event_trigger, flow
from flows.testing import Harness as _imported

@flow(on=event_trigger("go", name="go-trigger"), parameters={"n": 1}, retries=2, retry_delay_s=3, timeout_s=9)
def work(n: int = 4):
    return n
"""


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    path = list(sys.path)
    yield
    sys.path[:] = path
    for name in [n for n in sys.modules if n.startswith(loader.RESERVED)]:
        del sys.modules[name]


def _write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(text)
    return file


def test_a_file_is_collected_as_plain_values(tmp_path: Path) -> None:
    """What a deployment publishes: flow JSON with file, retries and parameters, and Trigger JSON."""
    file = _write(tmp_path, "my-work.py", FLOW)
    loaded = loader.load(file)
    (found,) = loader.collect(loaded)
    assert found.flow_version == loader.version_of(file.read_bytes()) == loaded.version
    assert len(found.flow_version) == 16
    assert found.flow_definition == {
        "name": "work",
        "file": str(file),
        "parameters": {"n": {"annotation": "int", "required": False, "default": "4", "takes": "value"}},
        "timeout_s": 9,
        "retries": 2,
        "retry_delay_s": 3,
        "retry_backoff": 2.0,
        "pool": "default",
    }
    assert [t["name"] for t in found.triggers] == ["go-trigger"]
    assert loaded.flow("work")() == 4
    assert loaded.module.__name__ == "flows.user.my-work"


def test_a_changed_file_is_loaded_anew(tmp_path: Path) -> None:
    """Loading a file again executes its new bytes under its new version, however quickly it changed."""
    file = _write(tmp_path, "w.py", FLOW)
    first = loader.load(file)
    file.write_text(FLOW.replace("= 4", "= 5"))
    second = loader.load(file)
    assert (first.flow("work")(), second.flow("work")()) == (4, 5)
    assert first.version != second.version


def test_two_files_of_one_stem_are_refused(tmp_path: Path) -> None:
    """Two files of one stem would share a module name; the error names both."""
    loader.load(_write(tmp_path / "a", "w.py", FLOW))
    other = _write(tmp_path / "b", "w.py", FLOW)
    with pytest.raises(LoadError, match="rename one of them"):
        loader.load(other)


def test_a_folder_called_flows_hides_nothing(tmp_path: Path) -> None:
    """A user's own folder `flows/` loads, imports its neighbours, and ours stays ours."""
    folder = tmp_path / "flows"
    _write(folder, "neighbour.py", "N = 7\n")
    _write(folder, "flow_decorator.py", "raise RuntimeError\n")
    file = _write(folder, "hello.py", "from neighbour import N\n" + FLOW)
    assert loader.load(file).module.N == 7
    sys.modules.pop("neighbour")
    assert str(tmp_path) not in (sys.modules["flows"].__file__ or "")


@pytest.mark.parametrize(
    ("text", "kind", "line"),
    [
        ("def broken(:\n", "SyntaxError", "line 1"),
        ("import nothing_like_this\n", "ModuleNotFoundError", "line 1"),
        ("x = 1\n\ndef f():\n    return 1 / 0\n\nf()\n", "ZeroDivisionError", "line 4, in f"),
        ("raise SystemExit(3)\n", "SystemExit", "line 1"),
        ("from flows import flow\n@flow(retries=-1)\ndef f(): ...\n", "InvalidDefinition", "line 2"),
    ],
)
def test_errors_of_a_file_show_its_own_frames(tmp_path: Path, text: str, kind: str, line: str) -> None:
    """A file that fails raises LoadError with the user's traceback and none of our frames."""
    with pytest.raises(LoadError) as caught:
        loader.load(_write(tmp_path, "bad.py", text))
    assert kind in str(caught.value)
    assert line in caught.value.traceback
    assert "loader.py" not in caught.value.traceback
    assert "flows.user.bad" not in sys.modules


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    """A missing file and a missing flow are sentences with the names that exist."""
    with pytest.raises(LoadError, match="cannot be read"):
        loader.load(tmp_path / "none.py")
    loaded = loader.load(_write(tmp_path, "w.py", FLOW))
    with pytest.raises(LoadError, match="has no flow 'other'; it has work"):
        loaded.flow("other")


def test_two_flows_of_one_name_are_refused(tmp_path: Path) -> None:
    """A flow's name is its identity within a deployment."""
    twice = "from flows import flow\n@flow(name='x')\ndef a(): ...\n@flow(name='x')\ndef b(): ...\n"
    with pytest.raises(LoadError, match="two flows named x"):
        loader.collect(loader.load(_write(tmp_path, "w.py", twice)))


def test_a_traceback_shows_the_lines_that_ran(tmp_path: Path) -> None:
    """When the file has changed since it was loaded, its traceback still shows what was executed."""
    file = tmp_path / "lines_that_ran.py"
    file.write_text(
        "from flows import flow\n\n@flow\ndef odd():\n    raise ValueError('the old line')\n", "utf-8"
    )
    loaded = loader.load(file)
    file.write_text("# something\n# else\n# entirely\n# now\n# here\n", "utf-8")
    with pytest.raises(ValueError, match="the old line") as raised:
        loaded.flow("odd")()
    shown = "".join(traceback.format_exception(raised.value))
    assert "raise ValueError('the old line')" in shown
    assert "# here" not in shown
