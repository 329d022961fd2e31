"""Kafka records as events: identity, labels, payload, templates, other forms, errors."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.event import Event
from schemas.identity import derived_id
from streams.errors import BadInput, Poison
from streams.kafka.record import Record
from streams.sources.kafka_record import RecordReading, plain_format, record_wording
from streams.sources.kafka_value import Values
from tests.unit.test_kafka_value import PAID, REGISTRY, Known

pytestmark = pytest.mark.unit

AT_S = 1_770_000_000.5
LOG_MS = 1_769_860_800_123
S3 = {
    "EventName": "s3:ObjectCreated:Put",
    "Key": "inbox/a b.csv",
    "Records": [
        {
            "eventVersion": "2.0",
            "eventSource": "minio:s3",
            "eventTime": "2026-11-22T14:16:32.270Z",
            "eventName": "s3:ObjectCreated:Put",
            "s3": {
                "bucket": {"name": "inbox"},
                "object": {"key": "a+b.csv", "size": 3, "eTag": "05cf", "sequencer": "18EA63AC190A6E71"},
            },
        }
    ],
}


def reading(configured: str = "auto", *, bytes_max: int = 1 << 20, **wording: str) -> RecordReading:
    """A reading of one topic."""
    return RecordReading(
        source="orders",
        cluster="c1",
        format=configured,  # type: ignore[arg-type]
        values=Values(plain_format(configured), Known(REGISTRY)),
        wording=record_wording(**wording),
        event_bytes_max=bytes_max,
    )


def record(value: bytes | None, **fields: Any) -> Record:
    """A record at orders[3]@42."""
    known = {"key": b"k1", "timestamp_ms": LOG_MS, "headers": (), "partition": 3, "offset": 42}
    return Record(topic="orders.v1", value=value, **{**known, **fields})


def only(found: RecordReading, given: Record) -> Event:
    """The one event of a record."""
    taken = found.taken(given, AT_S)
    assert not taken.unusable
    assert len(taken.events) == 1
    return taken.events[0]


def test_a_record_is_an_event_about_its_key() -> None:
    """Payload is the value itself; where it lay stands in labels; its id follows from there."""
    found = only(reading(), record(b'{"id": 7}', headers=(("type", b"paid"), ("n", b"\xc3\xbc"))))
    assert found == Event(
        id=derived_id("kafka", "c1", "orders.v1", 3, 42, ms=LOG_MS),
        event="orders.record",
        resource_id="kafka://orders.v1/k1",
        resource={
            "resource.id": "kafka://orders.v1/k1",
            "provider": "kafka",
            "topic": "orders.v1",
            "partition": "3",
            "offset": "42",
            "key": "k1",
            "header.type": "paid",
            "header.n": "ü",
        },
        occurred=datetime(2026, 1, 31, 12, 0, 0, 123_000, UTC),
        received=datetime.fromtimestamp(AT_S, UTC),
        payload={"id": 7},
        source="orders",
    )


def test_avro_says_which_schema_it_was() -> None:
    """The schema's full name is a label, so that a template or trigger can tell records apart."""
    found = only(reading("avro"), record(PAID))
    assert found.resource["schema"] == "com.acme.Order"
    assert found.payload == {"id": 2**60, "note": "ü"}


@pytest.mark.parametrize(
    ("value", "payload"),
    [(b"[1, 2]", [1, 2]), (b"5", 5), (b"hello", "hello"), (b"null", None)],
)
def test_what_is_no_object_stands_under_value(value: bytes, payload: object) -> None:
    """A payload is always an object."""
    assert only(reading(), record(value)).payload == {"value": payload}


def test_a_tombstone_is_an_event_without_a_value() -> None:
    """What a compacted topic deletes is told: by a label, and null as the value."""
    found = only(reading("avro"), record(None))
    assert (found.resource["tombstone"], found.payload) == ("true", {"value": None})
    assert "tombstone" not in only(reading(), record(b"null")).resource


def test_without_a_key_the_resource_is_the_partition() -> None:
    """Order holds per resource, and without keys it is the partition that has an order."""
    found = only(reading(), record(b"x", key=None))
    assert found.resource_id == "kafka://orders.v1/partition/3"
    assert "key" not in found.resource


def test_another_place_or_time_is_another_event() -> None:
    """Cluster, topic, partition, offset and timestamp all count: a topic made anew has new ids."""
    base = record(b"x")
    places = [
        base,
        base._replace(topic="other"),
        base._replace(partition=4),
        base._replace(offset=43),
        base._replace(timestamp_ms=LOG_MS + 1),
    ]
    assert len({only(reading(), one).id for one in places}) == len(places)
    assert only(reading(), base).id == only(reading("text"), base._replace(key=None)).id


@pytest.mark.parametrize("timestamp_ms", [-1, 0, 10**18])
def test_a_record_without_a_sensible_time_occurs_when_it_comes(timestamp_ms: int) -> None:
    """Producers may write any number as a timestamp."""
    found = only(reading(), record(b"x", timestamp_ms=timestamp_ms))
    assert found.occurred == datetime.fromtimestamp(AT_S, UTC)


def test_headers_that_may_be_secrets_stay_outside() -> None:
    """Credentials never reach an event; neither does what is no text, and there are bounds."""
    headers = [
        ("Authorization", b"Bearer x"),
        ("x-api-key", b"x"),
        ("Set-Cookie", b"x"),
        ("binary", b"\xff\x00"),
        ("none", None),
        ("author", b"me"),
        *((f"h{number}", b"v" * 1000) for number in range(40)),
    ]
    labels = only(reading(), record(b"x", headers=headers)).resource
    kept = {name: text for name, text in labels.items() if name.startswith("header.")}
    assert len(kept) == 32
    assert kept["header.author"] == "me"
    assert kept["header.h0"] == "v" * 256
    assert not {"header.Authorization", "header.x-api-key", "header.Set-Cookie", "header.none"} & kept.keys()


def test_templates_word_the_event() -> None:
    """Name, resource and time come from key, value, headers and place; the id stays."""
    found = only(
        reading(
            event="shop.{{ value.kind | lower }}",
            resource="order://{{ value.id }}/{{ key }}/{{ headers.tenant }}/{{ partition }}",
            occurred="{{ value.at }}",
        ),
        record(b'{"kind": "Paid", "id": 7, "at": 1769860801000}', headers=(("tenant", b"t1"),)),
    )
    assert found.event == "shop.paid"
    assert found.resource_id == found.resource["resource.id"] == "order://7/k1/t1/3"
    assert found.occurred == datetime(2026, 1, 31, 12, 0, 1, tzinfo=UTC)
    assert found.id == derived_id("kafka", "c1", "orders.v1", 3, 42, ms=LOG_MS)


@pytest.mark.parametrize("told", ['"2026-01-31T13:00:01+01:00"', "1769860801", "1769860801000.0"])
def test_times_are_iso_seconds_or_milliseconds(told: str) -> None:
    """As JSON and Avro topics have them."""
    found = only(reading(occurred="{{ value.at }}"), record(f'{{"at": {told}}}'.encode()))
    assert found.occurred == datetime(2026, 1, 31, 12, 0, 1, tzinfo=UTC)


def test_a_template_names_events_by_their_schema() -> None:
    """A topic with several record types becomes several event names."""
    found = only(reading(event="{{ event.resource.schema }}"), record(PAID))
    assert found.event == "com.acme.Order"


@pytest.mark.parametrize(
    ("wording", "value", "words"),
    [
        ({"event": "{{ value.kind }}"}, b"{}", "kind"),
        ({"event": "{{ value.kind }}"}, b'{"kind": ""}', "no text"),
        ({"event": "ensue.{{ value.kind }}"}, b'{"kind": "run"}', "are ours"),
        ({"event": "{{ value.kind }}"}, b'{"kind": "a\\nb"}', "printable"),
        ({"resource": "{{ value.kind }}"}, json.dumps({"kind": "r" * 9000}).encode(), "8192"),
        ({"occurred": "{{ value.at }}"}, b'{"at": "yesterday"}', "no time"),
        ({"occurred": "{{ value.at }}"}, b'{"at": "9999-01-01T00:00:00Z"}', "no time"),
    ],
)
def test_a_record_that_a_template_cannot_word_is_unusable(
    wording: dict[str, str], value: bytes, words: str
) -> None:
    """It says which template and why; it never becomes an event of a wrong name."""
    with pytest.raises(Poison, match=words) as caught:
        reading(**wording).taken(record(value), AT_S)
    assert caught.value.reason == "unusable_record"


@pytest.mark.parametrize("text", ["{{ value", "{{ secrets.x }}", "{% for a in value %}{% endfor %}"])
def test_a_template_that_cannot_be_is_refused_at_the_start(text: str) -> None:
    """A person's mistake shows before the first record."""
    with pytest.raises(BadInput, match="resource"):
        record_wording(resource=text)


def test_a_record_larger_than_an_event_is_refused_whole() -> None:
    """The bound is the gateway's, measured on what would be written."""
    value = json.dumps({"a": "ü" * 20_000}).encode()
    assert only(reading(bytes_max=60_000), record(value)).payload == {"a": "ü" * 20_000}
    with pytest.raises(Poison, match=r"limits\.event_bytes") as caught:
        reading(bytes_max=40_000).taken(record(value), AT_S)
    assert caught.value.reason == "too_large"


@pytest.mark.parametrize("configured", ["auto", "json"])
def test_a_bucket_that_writes_into_the_topic_makes_storage_events(configured: str) -> None:
    """MinIO's notifications are the same events whichever way they come."""
    found = only(reading(configured), record(json.dumps(S3).encode()))
    assert found.event == "storage.object.created"
    assert found.resource_id == "s3://inbox/a b.csv"
    assert found.source == "orders"


def test_what_only_looks_like_a_notification_is_a_record() -> None:
    """`Records` is a common word; nothing is lost for using it."""
    value = {"Records": [{"id": 1}], "page": 2}
    assert only(reading(), record(json.dumps(value).encode())).payload == value


CE_HEADERS = (
    ("ce_specversion", b"1.0"),
    ("ce_id", b"e-1"),
    ("ce_source", b"/shop"),
    ("ce_type", b"order.paid"),
    ("content-type", b"application/json"),
)


@pytest.mark.parametrize("configured", ["auto", "cloudevents"])
def test_cloudevents_keep_their_own_identity(configured: str) -> None:
    """Binary mode: source and id say what it is, so the same event at another offset is the same."""
    one = only(reading(configured), record(b'{"n": 1}', headers=CE_HEADERS))
    again = only(reading(configured), record(b'{"n": 1}', headers=CE_HEADERS, offset=43))
    assert one.id == again.id
    assert one.event == "order.paid"


def test_structured_cloudevents_are_read_with_and_without_a_header() -> None:
    """`cloudevents` also takes senders that set no header; `auto` takes the header's word."""
    body = json.dumps({"specversion": "1.0", "id": "e-1", "source": "/shop", "type": "order.paid"}).encode()
    headers = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)
    assert only(reading("auto"), record(body, headers=headers)).event == "order.paid"
    assert only(reading("cloudevents"), record(body)).event == "order.paid"
    assert only(reading("auto"), record(body)).event == "orders.record"


def test_a_broken_cloudevent_is_unusable() -> None:
    """Headers that say CloudEvent are held to it."""
    taken = reading().taken(record(b"{}", headers=CE_HEADERS[:3]), AT_S)
    assert not taken.events
    assert "type" in taken.unusable[0]


def test_templates_word_cloudevents_and_notifications_too() -> None:
    """`value` is their payload then."""
    found = only(
        reading(event="shop.{{ event.event }}", resource="key://{{ key }}"),
        record(b'{"n": 1}', headers=CE_HEADERS),
    )
    assert (found.event, found.resource_id) == ("shop.order.paid", "key://k1")
