"""Any history of deployments: what is in force is what each owner last wanted."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import fixed_codec
from streams.catalog.definition import deployment_id
from streams.catalog.publish import publish, read_all
from streams.errors import BadInput
from tests.definitions_in_memory import MemoryDefinitionsLog, definition

pytestmark = pytest.mark.property

CODEC = fixed_codec()
owners = st.sampled_from(["one", "two", "three"])
wishes = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["x", "y"]), max_size=4)


@given(st.lists(st.tuples(owners, wishes), max_size=8))
def test_in_force_is_what_each_owner_last_wanted(history: list[tuple[str, dict[str, str]]]) -> None:
    """Refusals change nothing, repeats write nothing, and every earlier offset keeps its answer."""
    log = MemoryDefinitionsLog()
    wanted: dict[str, dict[str, str]] = {}
    seen: dict[int, dict[str, str]] = {0: {}}
    for owner, wish in history:
        taken = {name for other, names in wanted.items() if other != owner for name in names}
        deploy = partial(
            publish,
            log,
            CODEC,
            deployment_id=deployment_id(owner),
            definitions=[definition(name, expect=expect) for name, expect in wish.items()],
            by="a test",
        )
        if taken & wish.keys():
            before = log.end
            with pytest.raises(BadInput):
                deploy()
            assert log.end == before
            continue
        deploy()
        wanted[owner] = wish
        assert deploy() == []
        seen[log.end] = {name: expect for names in wanted.values() for name, expect in names.items()}
    catalog = read_all(log, CODEC)
    for offset, expected in seen.items():
        found = catalog.in_force(offset)
        assert {name: definition(name, expect=e).version for name, e in expected.items()} == {
            name: item.version for name, item in found.items()
        }
    written = [(offset, item) for offset in seen for item in catalog.in_force(offset).values()]
    assert len({item.id for _, item in written}) == len({(item.id, item.version) for _, item in written})
