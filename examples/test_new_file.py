"""The flow of new_file.py fires on tables only, and says that it has loaded one."""

import pytest

from examples.new_file import load_new_file
from flows.testing import Harness, file_created

pytestmark = pytest.mark.unit


def test_a_table_is_loaded() -> None:
    """A CSV file in the landing bucket is loaded and announced."""
    (run,) = Harness(load_new_file).send(file_created("landing", "orders.csv"))
    assert (run.state, run.result) == ("succeeded", 10)
    assert run.why.startswith("because orders.csv was created in bucket landing")
    assert [event.event for event in run.emitted] == ["example.file_loaded"]


def test_other_files_start_nothing() -> None:
    """Another kind of file, or another bucket, starts no run."""
    harness = Harness(load_new_file)
    assert harness.send(file_created("landing", "notes.txt"), file_created("archive", "orders.csv")) == []
