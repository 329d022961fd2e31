"""The Kafka binding of CloudEvents (v1.0.2): records that are events, records that are none."""

import json
from typing import Any

import pytest

from schemas.identity import derived_id
from streams.sources.cloudevents.kafka import KafkaHeaders, cloud_event_of_record

pytestmark = pytest.mark.unit
MINIMAL: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "/s", "type": "a.b"}
HEADERS: KafkaHeaders = [
    ("ce_specversion", b"1.0"),
    ("ce_id", b"1"),
    ("ce_source", b"/s"),
    ("ce_type", b"a.b"),
]
STRUCTURED: KafkaHeaders = [("content-type", b"application/cloudevents+json; charset=UTF-8")]


def test_a_binary_record_is_an_event() -> None:
    """Headers are UTF-8 texts, not percent-encoded; the value is the data, none without one (3.2)."""
    headers = [*HEADERS, ("ce_subject", "100% \u20ac %41".encode()), ("content-type", b"application/json")]
    taken = cloud_event_of_record(headers, b'{"message": "Hello World!"}', 5.0, "orders")
    assert taken is not None
    (event,) = taken.events
    assert event.id == derived_id("cloudevents", "/s", "1", ms=0)
    assert (event.resource_id, event.source, event.occurred.timestamp()) == ("100% \u20ac %41", "orders", 5.0)
    assert event.payload["data"] == {"message": "Hello World!"}
    assert event.payload["cloudevents"]["datacontenttype"] == "application/json"
    taken = cloud_event_of_record(HEADERS, None, 5.0, "orders")
    assert taken is not None
    assert taken.events[0].payload == {"cloudevents": MINIMAL}


@pytest.mark.parametrize(
    "kind", [b"application/cloudevents+json", b"Application/CloudEvents+JSON; charset=utf-8"]
)
def test_a_structured_record_is_an_event(kind: bytes) -> None:
    """Kafka 3.3: by the content type, matched in any case; ce_ headers beside it are not read."""
    value = json.dumps({**MINIMAL, "data": {"a": 1}}).encode()
    taken = cloud_event_of_record([("content-type", kind), ("ce_id", b"2")], value, 5.0, "orders")
    assert taken is not None
    assert taken.events[0].payload == {"cloudevents": MINIMAL, "data": {"a": 1}}


def test_without_marks_a_record_is_none_unless_the_source_says_so() -> None:
    """Kafka 3: nothing in the headers means no CloudEvent; `assumed` reads the value as a structured one."""
    value = json.dumps(MINIMAL).encode()
    other: KafkaHeaders = [("content-type", b"application/json"), ("trace", None)]
    assert cloud_event_of_record(other, value, 5.0, "orders") is None
    assert cloud_event_of_record([], None, 5.0, "orders") is None
    taken = cloud_event_of_record([], value, 5.0, "orders", assumed=True)
    assert taken is not None
    assert len(taken.events) == 1
    taken = cloud_event_of_record([], b"no json", 5.0, "orders", assumed=True)
    assert taken is not None
    assert (taken.events, len(taken.unusable)) == ((), 1)


@pytest.mark.parametrize(
    ("headers", "value", "said"),
    [
        (HEADERS[1:], None, "specversion"),
        ([*HEADERS, ("ce_id", b"2")], None, "more than once"),
        ([*HEADERS, ("ce_ext", b"\xff")], None, "ext: the header's value is not UTF-8"),
        ([*HEADERS, ("ce_Ext", b"a")], None, "Ext"),
        ([*HEADERS, ("ce_subject", b"")], None, "subject"),
        ([*HEADERS, ("ce_datacontenttype", b"text/plain")], None, "datacontenttype"),
        ([*HEADERS, ("content-type", b"json")], None, "datacontenttype"),
        ([*HEADERS, ("content-type", b"application/json")], b"{", "malformed|not valid JSON"),
        ([*HEADERS, ("ce_ext", b"a\nb")], None, "U\\+000A"),
        ([("ce_specversion", None), *HEADERS[1:]], None, "specversion"),
        (STRUCTURED, None, "not JSON"),
        (STRUCTURED, b"{", "not JSON"),
        (STRUCTURED, b"[]", "JSON object"),
        (STRUCTURED, b"{}", "specversion"),
        ([*STRUCTURED, *STRUCTURED], b"{}", "more than once"),
        ([("content-type", b"application/cloudevents-batch+json")], b"[]", "not known"),
        ([("content-type", b"application/cloudevents+avro")], b"", "not known"),
        ([("content-type", b"application/cloudevents\xff")], b"", "UTF-8"),
    ],
)
def test_a_record_that_is_no_valid_event_says_why(
    headers: KafkaHeaders, value: bytes | None, said: str
) -> None:
    """Marked as a CloudEvent and not valid: one sentence for the dead letter, no event."""
    taken = cloud_event_of_record(headers, value, 5.0, "orders")
    assert taken is not None
    assert taken.events == ()
    (text,) = taken.unusable
    assert any(part.replace("\\", "") in text for part in said.split("|")), text
