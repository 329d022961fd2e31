"""Publishing definitions and knowing which were in force when."""

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from schemas.codec import fixed_codec
from schemas.record import Trigger
from streams.catalog.catalog import Catalog
from streams.catalog.compiled import CompiledDefinitions
from streams.catalog.definition import Definition, deployment_id, version_of
from streams.catalog.follower import Follower
from streams.catalog.publish import publish, read_all
from streams.errors import BadInput, Transport
from streams.kafka.record import Outgoing
from tests.definitions_in_memory import TOPIC, MemoryDefinitionsLog, definition

pytestmark = pytest.mark.unit

CODEC = fixed_codec()
MINE, OTHERS = deployment_id("mine"), deployment_id("others")


def deploy(log: MemoryDefinitionsLog, *definitions: Definition, owner: str = MINE) -> list[Trigger]:
    return publish(log, CODEC, deployment_id=owner, definitions=definitions, by="a test")


def names(log: MemoryDefinitionsLog, offset: int | None = None) -> list[str]:
    return list(read_all(log, CODEC).in_force(offset))


def test_only_what_changed_is_written() -> None:
    """The same again writes nothing; a new flow file writes its triggers; the key is the trigger's name."""
    log = MemoryDefinitionsLog()
    a, b = definition("a"), definition("b")
    assert [item.name for item in deploy(log, a, b)] == ["a", "b"]
    assert deploy(log, a, b) == []
    changed = deploy(log, replace(a, flow_version="2"), b)
    assert [(item.name, item.flow_version) for item in changed] == [("a", "2")]
    assert [record.key for record in log.log.records(TOPIC, 0)] == [b"a", b"b", b"a"]


def test_a_deployment_removes_its_own_only() -> None:
    """What a deployment no longer has is removed by a record; what others own stays."""
    log = MemoryDefinitionsLog()
    deploy(log, definition("a"), definition("b"))
    deploy(log, definition("theirs"), owner=OTHERS)
    removed = deploy(log, definition("b"))
    assert [(item.name, item.removed, item.event) for item in removed] == [
        ("a", True, "ensue.trigger.removed")
    ]
    assert names(log) == ["b", "theirs"]
    assert names(log, 3) == ["a", "b", "theirs"]


def test_a_name_belongs_to_one_deployment() -> None:
    """Another deployment's name is refused, naming owner and remedy; once removed it is free."""
    log = MemoryDefinitionsLog()
    deploy(log, definition("a"))
    with pytest.raises(
        BadInput, match=f"trigger a belongs to another deployment \\({MINE}, published by a test"
    ):
        deploy(log, definition("b"), definition("a"), owner=OTHERS)
    assert names(log) == ["a"]
    deploy(log)
    assert deploy(log, definition("a"), owner=OTHERS)[0].deployment_id == OTHERS


def test_every_record_has_an_id_of_its_own() -> None:
    """Deployed, removed and deployed again: three records of one version, three rows in the store."""
    log = MemoryDefinitionsLog()
    written = [*deploy(log, definition("a")), *deploy(log), *deploy(log, definition("a"))]
    assert len({item.id for item in written}) == 3
    assert len({item.version for item in written}) == 1


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ([definition("a"), definition("a")], "two triggers are named a"),
        ([replace(definition("a"), definition="{")], "trigger a cannot be deployed"),
        ([replace(definition("a"), definition='{"name": "a", "expct": []}')], "did you mean expect"),
        ([replace(definition("a"), definition='{"name": "b", "expect": ["e"]}')], "named b in its own"),
        ([replace(definition("a"), flow_definition="[]")], "flow_definition must be a JSON object"),
    ],
)
def test_what_could_never_be_in_force_is_refused(wrong: Sequence[Definition], sentence: str) -> None:
    """A definition that nobody could compile is refused before anything is written."""
    log = MemoryDefinitionsLog()
    with pytest.raises(BadInput, match=sentence):
        deploy(log, *wrong)
    assert log.end == 0


def test_two_deployments_at_once_take_turns() -> None:
    """A deployment that another one overtakes starts over on what the other wrote."""
    log = MemoryDefinitionsLog()

    def overtake() -> None:
        log.on_open = lambda: None
        deploy(log, definition("a"), owner=OTHERS)

    log.on_open = overtake
    with pytest.raises(BadInput, match="belongs to another deployment"):
        deploy(log, definition("a"))
    log.on_open = overtake
    deploy(log, definition("b"))
    assert names(log) == ["a", "b"]


def test_in_force_answers_for_every_earlier_offset() -> None:
    """Each offset has the definitions that lie below it; beyond what was read is an error, not a guess."""
    log = MemoryDefinitionsLog()
    deploy(log, definition("a"), definition("b"))
    deploy(log, definition("a", expect="other"))
    catalog = read_all(log, CODEC)
    assert catalog.position == 4
    versions = [catalog.in_force(offset) for offset in range(5)]
    assert [list(found) for found in versions] == [[], ["a"], ["a", "b"], ["a", "b"], ["a"]]
    assert "other" in versions[3]["a"].definition
    assert "other" not in versions[2]["a"].definition
    assert catalog.in_force(3) is catalog.in_force(3)
    with pytest.raises(Transport, match="wait for it first"):
        catalog.in_force(5)
    with pytest.raises(TypeError):
        versions[3]["a"] = versions[3]["b"]  # type: ignore[index]


def test_a_record_taken_twice_changes_nothing() -> None:
    """A follower that reads again from an earlier offset leaves the catalog as it is."""
    log = MemoryDefinitionsLog()
    written = deploy(log, definition("a"), definition("b"))
    catalog = Catalog()
    for _ in range(2):
        for offset, item in enumerate(written):
            catalog.apply(item, offset)
    catalog.advance(2)
    catalog.advance(1)
    assert (catalog.position, catalog.revision(2), list(catalog.in_force())) == (2, 2, ["a", "b"])


def test_a_follower_sees_a_deployment_within_a_second() -> None:
    """Deployed while it follows: in force within a second, without asking again."""
    log = MemoryDefinitionsLog()
    deploy(log, definition("a"))
    follower = Follower(log, CODEC)
    try:
        catalog = follower.start()
        assert list(catalog.in_force()) == ["a"]
        began = time.monotonic()
        threading.Timer(0.05, lambda: deploy(log, definition("a"), definition("b"))).start()
        assert catalog.wait_for(2, 5)
        assert time.monotonic() - began < 1
        assert list(catalog.in_force()) == ["a", "b"]
        assert follower.healthy
    finally:
        follower.close()


def test_a_follower_passes_over_what_is_no_definition() -> None:
    """Foreign bytes and empty values do not hold up the definitions behind them."""
    log = MemoryDefinitionsLog()
    for value in (b"noise", None, b""):
        log.log.append(Outgoing(TOPIC, 0, b"x", value))
    deploy(log, definition("a"))
    follower = Follower(log, CODEC)
    try:
        assert list(follower.start().in_force()) == ["a"]
    finally:
        follower.close()


def test_compiled_definitions_are_shared_between_offsets_without_change() -> None:
    """Router and evaluate get one compiled index for all offsets between two changes."""
    log = MemoryDefinitionsLog()
    deploy(log, definition("a"))
    deploy(log, definition("a"), definition("b"))
    catalog = read_all(log, CODEC)
    catalog.advance(7)  # markers of the fence
    compiled = CompiledDefinitions(catalog)
    assert compiled.in_force(2) is compiled.in_force(7)
    assert [trigger.name for trigger in compiled.in_force(7).triggers] == ["a", "b"]
    assert [trigger.name for trigger in compiled.in_force(1).triggers] == ["a"]
    with pytest.raises(Transport):
        compiled.in_force(8)

    async def wait() -> None:
        threading.Timer(0.05, catalog.advance, [9]).start()
        await asyncio.wait_for(compiled.reached(9), 2)

    asyncio.run(wait())
    assert compiled.in_force(9) is compiled.in_force(2)


def test_a_definition_that_cannot_be_compiled_leaves_the_others_in_force() -> None:
    """A record written past `publish` does not stop the deciding of all triggers."""
    log = MemoryDefinitionsLog()
    written = deploy(log, definition("a"))[0]
    bad = replace(written, name="bad", definition='{"nonsense": 1}')
    log.log.append(Outgoing(TOPIC, 0, b"bad", CODEC.encode(bad)))
    compiled = CompiledDefinitions(read_all(log, CODEC))
    assert [trigger.name for trigger in compiled.in_force(2).triggers] == ["a"]


def test_version_does_not_depend_on_the_order_of_keys() -> None:
    """The same definition has the same version however it is written down; another flow has another."""
    assert version_of('{"a": 1, "b": 2}', "f") == version_of('{"b":2,"a":1}', "f")
    assert version_of('{"a": 1}', "f") != version_of('{"a": 1}', "g")
    assert len(version_of("{}", "f")) == 16
