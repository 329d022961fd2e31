"""Prefect's EventFilter: which events pass, as a table; `related` holds, which Prefect passes over live."""

from typing import Any

import orjson
import pytest

from schemas.record import EventRecord
from streams.errors import BadInput
from streams.gateway.live.event import LiveEvent
from streams.gateway.prefect.event_filter import read_filter
from streams.gateway.prefect.text_query import parse

pytestmark = pytest.mark.unit
ID = "01890a5d-ac96-774b-bcce-b302099a8057"
RESOURCE = {
    "prefect.resource.id": "order.17",
    "prefect.resource.name": "Order",
    "env": "prod",
    "file": "a.csv",
}
RELATED = [
    {"prefect.resource.id": "flow.f", "prefect.resource.role": "flow", "team": "red"},
    {"prefect.resource.id": "tag.t", "prefect.resource.role": "tag", "team": "blue"},
]


def live(**more: Any) -> LiveEvent:
    """An event, with differences."""
    record = EventRecord(
        id=ID,
        event=more.get("event", "order.created"),
        resource_id="order.17",
        occurred=1_769_860_800_000_000,  # 2026-01-31T12:00:00Z
        received=1_769_860_801_000_000,
        resource=orjson.dumps(more.get("resource", RESOURCE)).decode(),
        related=orjson.dumps(more.get("related", RELATED)).decode(),
        payload=orjson.dumps(more.get("payload", {"Amount": 12, "note": "connection timeout"})).decode(),
        source="",
        causation_id=None,
        correlation_id=ID,
        follows=None,
        replay_of=None,
    )
    return LiveEvent(record, partition=0, offset=0, size_bytes=100)


TABLE: list[tuple[Any, bool]] = [
    (None, True),
    ({}, True),
    ({"occurred": None, "event": None, "resource": None, "related": None, "id": None, "text": None}, True),
    ({"order": "DESC", "any_resource": None}, True),
    # name
    ({"event": {"prefix": ["order."]}}, True),
    ({"event": {"prefix": ["Order."]}}, False),
    ({"event": {"prefix": ["x", "order.c"], "name": None}}, True),
    ({"event": {"prefix": []}}, True),
    ({"event": {"exclude_prefix": ["order."]}}, False),
    ({"event": {"name": ["order.created", "b"]}}, True),
    ({"event": {"name": ["order"]}}, False),
    ({"event": {"exclude_name": ["order.created"]}}, False),
    ({"event": {"prefix": ["order."], "exclude_name": ["order.deleted"]}}, True),
    # time: both ends belong to it; a time without a zone is UTC
    ({"occurred": {"since": "2026-01-31T12:00:00Z", "until": "2026-01-31T13:00:00+01:00"}}, True),
    ({"occurred": {"since": "2026-01-31T12:00:00.000001Z"}}, False),
    ({"occurred": {"until": "2026-01-31T11:59:59.999999"}}, False),
    ({"occurred": {"since": None, "until": None}}, True),
    # id
    ({"id": {"id": [ID.upper()]}}, True),
    ({"id": {"id": ["01890a5d-ac96-774b-bcce-b302099a8058"]}}, False),
    ({"id": {"id": []}}, True),
    # resource
    ({"resource": {"id": ["order.17"]}}, True),
    ({"resource": {"id": ["order.1"], "id_prefix": None, "distinct": False}}, False),
    ({"resource": {"id_prefix": ["order."]}}, True),
    ({"resource": {"id_prefix": ["orders", "flow."]}}, False),
    ({"resource": {"labels": {"env": "prod"}}}, True),
    ({"resource": {"labels": {"env": ["dev", "prod"]}}}, True),
    ({"resource": {"labels": {"env": "prod", "file": "*.csv"}}}, True),
    ({"resource": {"labels": {"env": "prod", "file": "*.txt"}}}, False),
    ({"resource": {"labels": {"env": []}}}, False),
    ({"resource": {"labels": {}}}, True),
    ({"resource": {"labels": {"env": "!dev"}}}, True),
    ({"resource": {"labels": {"zone": "!dev"}}}, False),
    ({"resource": {"labels": {"env": "PROD"}}}, False),
    ({"resource": {"labels": {"prefect.resource.id": "order.*"}}}, True),
    ({"resource": {"id": ["order.17"], "labels": {"env": "dev"}}}, False),
    # related: one resource for everything said
    ({"related": {"id": ["flow.f"]}}, True),
    ({"related": {"id": ["order.17"]}}, False),
    ({"related": {"role": ["tag"]}}, True),
    ({"related": {"role": ["deployment"]}}, False),
    ({"related": {"id": ["flow.f"], "role": ["tag"]}}, False),
    ({"related": {"resources_in_roles": [["flow.f", "flow"]]}}, True),
    ({"related": {"resources_in_roles": [["flow.f", "tag"], ["tag.t", "tag"]]}}, True),
    ({"related": {"resources_in_roles": [["flow.f", "tag"]]}}, False),
    ({"related": {"labels": {"team": "re*"}}}, True),
    ({"related": {"labels": {"team": "green"}}}, False),
    ({"related": {"id": None, "role": None, "resources_in_roles": None, "labels": None}}, True),
    ({"related": [{"role": ["flow"]}, {"labels": {"team": "blue"}}]}, True),
    ({"related": [{"role": ["flow"]}, {"labels": {"team": "green"}}]}, False),
    ({"related": []}, True),
    # any resource
    ({"any_resource": {"id": ["order.17"]}}, True),
    ({"any_resource": {"id": ["tag.t"]}}, True),
    ({"any_resource": {"id_prefix": ["flow."], "labels": {"team": "blue"}}}, False),
    ({"any_resource": [{"id": ["order.17"]}, {"id_prefix": ["tag."]}]}, True),
    ({"any_resource": [{"id": ["order.17"]}, {"id_prefix": ["no."]}]}, False),
    # text
    ({"text": {"query": "timeout"}}, True),
    ({"text": {"query": "TIMEOUT"}}, True),
    ({"text": {"query": "nothing created"}}, True),
    ({"text": {"query": '"connection timeout"'}}, True),
    ({"text": {"query": '"timeout connection"'}}, False),
    ({"text": {"query": "order -timeout"}}, False),
    ({"text": {"query": "!blue"}}, False),
    ({"text": {"query": "+blue +red"}}, True),
    ({"text": {"query": "+blue +green order"}}, False),
    ({"text": {"query": ""}}, True),
    # members are ANDed
    ({"event": {"prefix": ["order."]}, "resource": {"id": ["other"]}}, False),
]


@pytest.mark.parametrize(("document", "passes"), TABLE)
def test_what_passes(document: Any, passes: bool) -> None:
    """Members are ANDed, values of a member ORed, null is as good as absent."""
    assert read_filter(document).wants(live()) is passes


def test_without_related_resources_a_related_filter_refuses() -> None:
    """An event without related resources has none that could fit."""
    assert not read_filter({"related": {"role": ["flow"]}}).wants(live(related=[]))


def test_both_names_of_the_id_label_are_one() -> None:
    """A resource that came with `resource.id` is found by Prefect's name of it."""
    event = live(resource={"resource.id": "order.17"}, related=[{"resource.id": "x", "resource.role": "y"}])
    wanted = {"resource": {"id": ["order.17"]}, "related": {"id": ["x"], "role": ["y"]}}
    assert read_filter(wanted).wants(event)


WRONG: list[tuple[Any, str]] = [
    ([], "the filter"),
    ({"evnet": {}}, "evnet"),
    ({"event": {"prefix": "order."}}, "event.prefix"),
    ({"event": {"prefix": [1]}}, "event.prefix.0"),
    ({"id": {"id": ["7"]}}, "id.id.0"),
    ({"occurred": {"since": "yesterday"}}, "occurred.since"),
    ({"text": {"query": "x" * 201}}, "text.query"),
    ({"text": {}}, "text.query"),
    ({"event": {"name": ["x"] * 501}}, "event.name"),
    ({"order": "UP"}, "order"),
]


@pytest.mark.parametrize(("document", "where"), WRONG)
def test_a_wrong_filter_is_refused_with_its_place(document: Any, where: str) -> None:
    """The refusal names the member."""
    with pytest.raises(BadInput, match=where):
        read_filter(document)


def test_the_query_by_text_is_taken_apart() -> None:
    """Signs, phrases and escaped quotes; a sign alone is nothing."""
    found = parse(r'One -two !three +four "five six" -"se\"ven eight" - + "open end')
    assert found.any_of == ("one", "five six", "open end")
    assert found.none_of == ("two", "three", 'se"ven eight')
    assert found.all_of == ("four",)


def test_prefects_frame_has_prefects_names() -> None:
    """An event of ours is shown with the labels that Prefect's client insists on; its own are left alone."""
    related = [{"resource.id": "f", "resource.role": "flow"}]
    frame = orjson.loads(live(resource={"resource.id": "a", "x": "y"}, related=related).prefects)
    assert frame["type"] == "event"
    event = frame["event"]
    assert event["resource"] == {"prefect.resource.id": "a", "resource.id": "a", "x": "y"}
    assert event["related"][0]["prefect.resource.id"] == "f"
    assert event["related"][0]["prefect.resource.role"] == "flow"
    assert (event["occurred"], event["id"]) == ("2026-01-31T12:00:00.000000Z", ID)
    assert orjson.loads(live().prefects)["event"]["resource"] == RESOURCE
    many = {"resource.id": "a", **{f"l{number}": "" for number in range(499)}}
    assert len(orjson.loads(live(resource=many).prefects)["event"]["resource"]) == 500
