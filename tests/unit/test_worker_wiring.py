"""Decisions of the worker's wiring."""

import pytest

from schemas.record import Trigger
from streams.wiring.worker import left_alone, relocated

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(("count", "alone"), [(None, False), (0, False), (1, True), (8, True), (9, False)])
def test_a_member_without_partitions_is_left_alone_only_when_there_are_enough(
    count: int | None, alone: bool
) -> None:
    """With more members than partitions one has none by right; when nobody knows, nothing is done."""
    assert left_alone(count, 8) is alone


def test_a_flow_file_is_found_where_it_lies_here() -> None:
    """A file of the same name given to the worker stands in for the deployed path; others are left."""
    item = Trigger(
        id="i",
        event="ensue.trigger.deployed",
        name="t",
        version="v",
        definition="{}",
        flow="f",
        flow_version="v",
        flow_definition='{"file": "/elsewhere/flows_a.py", "name": "f"}',
        deployment_id="d",
        published=0,
        published_by="me",
    )
    assert '"/here/flows_a.py"' in relocated(item, {"flows_a.py": "/here/flows_a.py"}).flow_definition
    assert relocated(item, {"other.py": "/here/other.py"}) == item
    assert relocated(item, {}) == item
