"""What @flow, @task and the trigger builders accept and refuse."""

import json

import pytest

from flows import Event, definition, event_trigger, flow, object_created, object_deleted, signature, task
from flows.core.predicate import Exists, Pattern
from flows.errors import InvalidDefinition
from flows.retry import Retry
from schemas import record

pytestmark = pytest.mark.unit


def test_builders_write_trigger_json() -> None:
    """Every builder gives the canonical keys; a flow adds its name and parameters."""

    @flow(
        on=[
            object_created("landing", key="*.csv"),
            object_deleted("landing", match={"env": ["!prod", {"exists": False}]}),
            event_trigger("order.*", threshold=2, for_each="user", parameters={"file_name": "x"}, name="own"),
        ],
        parameters={"file_name": "{{ event.resource.key }}"},
    )
    def load(file_name: str) -> None: ...

    first, second, third = load.triggers()
    assert first == {
        "type": "event",
        "name": "load",
        "expect": ["storage.object.created"],
        "match": {"bucket": "landing", "key": "*.csv"},
        "parameters": {"file_name": "{{ event.resource.key }}"},
    }
    assert second["name"] == "load-2"
    assert second["match"]["env"] == ["!prod", {"exists": False}]
    assert (third["name"], third["threshold"], third["for_each"]) == ("own", 2, ["user"])
    assert third["parameters"] == {"file_name": "x"}


def test_trigger_json_goes_around() -> None:
    """Emitting a parsed trigger and parsing it again gives the same trigger."""
    given = {
        "expect": ["a", "b*"],
        "match": {"x": ["1", "!2"], "y": [{"exists": False}], "z": []},
        "match_related": {"resource.role": "owner"},
        "for_each": ["b", "a"],
        "threshold": 3,
        "within": 0,
        "after": [],
        "posture": "Reactive",
        "parameters": {"n": 1},
        "enabled": False,
    }
    once = definition.parse(given, flow="f", name="t", version="v")
    assert definition.parse(json.loads(json.dumps(definition.emit(once))), flow="f", version="v") == once
    assert once.match[1].any_of == (Exists(wanted=False),)
    assert once.match_related[0][0].any_of == (Pattern("owner"),)
    assert once.for_each == ("a", "b")


@pytest.mark.parametrize(
    ("given", "path", "text"),
    [
        ({"within": 60}, "within", "not supported yet"),
        ({"after": ["x"]}, "after", "not supported yet"),
        ({"posture": "Proactive"}, "posture", "not supported yet"),
        ({"type": "compound"}, "type", "not supported yet"),
        ({"debounce": {"period": 1}}, "debounce", "not supported yet"),
        ({"treshold": 2}, "treshold", "did you mean threshold"),
        ({"threshold": 0}, "threshold", "greater than or equal to 1"),
        ({"threshold": 1001}, "threshold", "less than or equal to 1000"),
        ({"threshold": True}, "threshold", "valid integer"),
        ({"match": {"key": ["a", 3]}}, "match.key[1]", "must be text"),
        ({"match": {"key": None}}, "match.key[0]", "must be text"),
        ({"match_related": [{}, {"r": [{"exists": 1}]}]}, "match_related[1].r[0]", "must be text"),
        ({"expect": "order"}, "expect", "valid list"),
        ({"expect": [""]}, "expect[0]", "not empty"),
        ({"parameters": {"a": "{{ range(9) }}"}}, "parameters", "Call"),
        ([], "", "valid dictionary"),
        ({"name": "a\x1fb"}, "name", "printable"),
        ({"name": "a" * 201}, "name", "printable"),
    ],
)
def test_faults_of_trigger_json_have_their_path(given: object, path: str, text: str) -> None:
    """A key that cannot be used is refused with its exact path, never ignored."""
    with pytest.raises(InvalidDefinition) as caught:
        definition.parse(given, flow="f", name="t")
    ((found, sentence),) = caught.value.problems
    assert found == path
    assert text in sentence


def test_a_trigger_record_is_read_back() -> None:
    """The record of the triggers topic gives the trigger with its versions and pool."""
    item = record.Trigger(
        id="i",
        event="ensue.trigger.deployed",
        name="t",
        version="v9",
        definition='{"expect":["a"]}',
        flow="f",
        flow_version="fv",
        flow_definition='{"pool":"big"}',
        deployment_id="d",
        published=0,
        published_by="me",
    )
    found = definition.from_record(item)
    assert (found.name, found.version, found.flow_version, found.pool) == ("t", "v9", "fv", "big")


def test_the_version_ignores_key_order() -> None:
    """Two spellings of one definition have one version."""
    assert definition.version_of({"a": 1, "b": 2}) == definition.version_of({"b": 2, "a": 1})


def test_parameters_must_fit_the_function() -> None:
    """A trigger that lacks an argument, or has one too many, is refused when the flow is defined."""
    with pytest.raises(InvalidDefinition, match="needs 'file_name'"):

        @flow(on=event_trigger("a"))
        def lacking(file_name: str) -> None: ...

    with pytest.raises(InvalidDefinition, match="has no argument 'other'"):

        @flow(on=event_trigger("a"), parameters={"other": 1})
        def too_many() -> None: ...

    with pytest.raises(InvalidDefinition, match="two triggers are named x"):

        @flow(on=[event_trigger("a", name="x"), event_trigger("b", name="x")])
        def twice() -> None: ...


def test_arguments_typed_event_get_the_events() -> None:
    """`Event` gets the last event of the firing and `list[Event]` all; neither is asked of parameters."""

    @flow(on=event_trigger("a"))
    def react(event: Event, events: list[Event], maybe: Event | None = None, n: int = 3) -> None: ...

    takes = {p.name: p.takes for p in react.signature.parameters}
    assert takes == {"event": "event", "events": "events", "maybe": "event", "n": "value"}
    with pytest.raises(InvalidDefinition, match="takes the event that started the run"):
        react.signature.bind({}, [])


def test_annotations_as_text_are_understood() -> None:
    """Postponed annotations whose names exist only for the type checker still mark event arguments."""

    def react(event: "Event", other: "Unknown", events: "list[Event]") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    takes = [p.takes for p in signature.of(react, "react").parameters]
    assert takes == ["event", "value", "events"]


@pytest.mark.parametrize("given", [{"retries": -1}, {"retry_delay_s": -1.0}, {"timeout_s": 0}])
def test_numbers_that_cannot_be_meant_are_refused(given: dict[str, float]) -> None:
    """Negative retries, delays and a timeout of zero are refused for flows and tasks."""
    for decorator in (flow, task):
        with pytest.raises(InvalidDefinition):
            decorator(**given)(lambda: None)  # type: ignore[call-overload]


def test_pauses_grow_without_jitter_up_to_a_bound() -> None:
    """Pauses double from the first one, stay below an hour, and end with the retries."""
    retry = Retry(retries=3, delay_s=2)
    assert [retry.pause_s(n) for n in (1, 2, 3, 4)] == [2, 4, 8, None]
    assert Retry(retries=99, delay_s=10).pause_s(50) == 3600
    assert Retry.from_json(retry.as_json()) == retry
