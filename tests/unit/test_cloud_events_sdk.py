"""The official Python package beside our reader: what it writes we read; where it differs is listed."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings import http as sdk_http
from cloudevents.core.bindings import kafka as sdk_kafka
from cloudevents.core.v1.event import CloudEvent as SdkEvent

from schemas.event import Event
from schemas.event_record import to_event
from streams.sources.cloudevents.body import CloudEventsBody
from streams.sources.cloudevents.kafka import cloud_event_of_record
from streams.sources.cloudevents.mapping import cloud_event_of
from streams.sources.cloudevents.negotiation import Shape, message_of
from tests.gateway_case import GatewayCase
from tests.unit import test_cloud_events_http as http_cases
from tests.unit import test_cloud_events_text as text_cases

pytestmark = pytest.mark.unit
AT = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
ATTRIBUTES: dict[str, Any] = {
    "specversion": "1.0",
    "id": "A-1",
    "source": "https://a.example/x?y=1",
    "type": "com.example.paid",
    "subject": 'order "7" 100% \u20ac \U0001f600',
    "time": AT,
    "dataschema": "urn:a:b",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}
DATA: list[tuple[str | None, Any]] = [
    ("application/json", {"a": [1, 2.5, None, "\u20ac"]}),
    ("application/json; charset=utf-8", [1]),
    ("text/plain", "a\u00e9\n"),
    ("application/octet-stream", b"\x00\xff"),
    (None, {"a": 1}),
    (None, None),
]

# Valid, and refused there.
SDK_REFUSES = frozenset(
    (
        "suite null for optional; json 2.2: null MUST be treated as unset",
        "core Timestamp: RFC 3339 5.7, a leap second",
        "core Timestamp: a leap second with an offset",
    )
)
# Not valid, and taken there. It makes up an id for an event without one, so that no redelivery is known.
SDK_TAKES = frozenset(
    (
        "suite no id; core id: REQUIRED",
        "suite no specversion",
        "core specversion: 0.3 is another format",
        "suite time to the minute",
        "suite offset of hours only",
        "core Timestamp: an hour that is none",
        "core Timestamp: no basic format",
        "suite datacontenttype xyz; core: MUST adhere to RFC 2046",
        "core datacontenttype: a parameter without value",
        "core datacontenttype: a quote that stays open",
        "core datacontenttype: a space within",
        "core dataschema: MUST be absolute",
        "core dataschema: RFC 3986 4.3 has no fragment",
        "core dataschema: no URI at all",
        "core source: no URI-reference",
        "core source: RFC 3986 is ASCII",
        "core source: a bare percent",
        "core source: no colon in a first segment without scheme",
        "core source: two fragments",
        "core source: brackets are for IP addresses",
        "suite number with a fraction",
        "json 2.2: an Integer has no fraction, not even 0",
        "core Integer: one too many",
        "core Integer: one too few",
        "core types: no object",
        "core types: no array",
        "core String: no NUL",
        "core String: no line feed",
        "core String: no DEL",
        "core String: no C1 control",
        "core String: no noncharacter U+FFFE",
        "core String: no noncharacter U+FDD0",
        "core String: no noncharacter U+10FFFF",
        "json 3.1.1: data null beside data_base64",
        "json 3.1.2: no Base64",
        "json 3.1.2: Base64 of URLs",
        "json 3.1.2: Base64 with a line break",
        "json 3.1.2: text that is none",
        "core String: an unpaired surrogate",
        "json: NaN is no JSON",
        "json: Infinity is no JSON",
        "json: 1e400 is no number here",
        "core (1.0.3): each attribute at most once",
    )
)
SDK_TAKES_HEADERS = frozenset(
    (
        "http 3.1.3.2: an overlong encoding MUST be rejected",
        "http 3.1.3.2: half a character",
        "http 3.1.3.2: an encoded surrogate",
        "http 3.1.3.2: beyond Unicode",
        "core String: an encoded line feed",
        "core String: an encoded C1 control",
        "core String: an encoded noncharacter",
        "core id: REQUIRED",
        "http 3.1.1: ce-datacontenttype MUST NOT be there",
    )
)


def sdk_takes(headers: dict[str, str], body: bytes) -> bool:
    """Whether the package reads a message, be it by an exception of its own or another's."""
    try:
        sdk_http.from_http_event(sdk_http.HTTPMessage(headers=headers, body=body))
    except Exception:
        return False
    return True


def test_where_the_package_reads_bodies_otherwise() -> None:
    """The lists above are exactly the cases of test_cloud_events_text.py in which it differs."""
    kind = {"content-type": text_cases.STRUCTURED}
    valid = {name: json.dumps(document).encode() for name, document in text_cases.VALID.items()}
    invalid = {name: json.dumps(document).encode() for name, (document, _) in text_cases.INVALID.items()}
    assert {name for name, body in valid.items() if not sdk_takes(kind, body)} == SDK_REFUSES
    bad = {**invalid, **text_cases.MALFORMED}
    assert {name for name, body in bad.items() if sdk_takes(kind, body)} == SDK_TAKES


@pytest.mark.parametrize("name", sorted(SDK_TAKES_HEADERS))
def test_where_the_package_reads_headers_otherwise(name: str) -> None:
    """It takes these headers, which test_cloud_events_http.py shows refused here."""
    pairs, _ = http_cases.INVALID[name]
    headers = {**dict(http_cases.HEADERS), **dict(pairs)}
    assert sdk_takes({key: value for key, value in headers.items() if value != "GONE"}, b"")


def test_the_package_leaves_quotes_where_they_are() -> None:
    """The text says that quoted values MUST be unescaped; we do (test_cloud_events_http.py)."""
    headers = {**dict(http_cases.HEADERS), "ce-subject": '"a b"'}
    found = sdk_http.from_http_event(sdk_http.HTTPMessage(headers=headers, body=b""))
    assert found.get_subject() == '"a b"'


def written(datacontenttype: str | None, data: Any) -> SdkEvent:
    """An event of the package."""
    kind = {} if datacontenttype is None else {"datacontenttype": datacontenttype}
    return SdkEvent(attributes={**ATTRIBUTES, **kind}, data=data)


def check(found: Event, datacontenttype: str | None, data: Any) -> None:
    """The event says what was written: attributes, time, data."""
    said = dict(found.payload["cloudevents"])
    assert datetime.fromisoformat(said.pop("time")) == found.occurred == AT
    kind = {} if datacontenttype is None else {"datacontenttype": datacontenttype}
    assert said == {**{k: v for k, v in ATTRIBUTES.items() if k != "time"}, **kind}
    assert cloud_event_of(found).data == data


@pytest.mark.parametrize(("datacontenttype", "data"), DATA)
async def test_what_the_package_writes_for_http_we_read(datacontenttype: str | None, data: Any) -> None:
    """Structured and binary, with equal attributes and data, and one id for both."""
    gateway = GatewayCase(form=CloudEventsBody())
    ids = []
    for write in (sdk_http.to_structured_event, sdk_http.to_binary_event):
        if write is sdk_http.to_binary_event and datacontenttype is None and data is not None:
            continue  # bytes without a type stay bytes: nothing may be assumed of them
        message = write(written(datacontenttype, data))
        answer = await gateway.request("POST", "/events", message.body, message.headers)
        assert answer.status_code == 202, answer.text
        ids += answer.json()["ids"]
        check(to_event(gateway.log.events()[-1]), datacontenttype, data)
    assert len(set(ids)) == 1


@pytest.mark.parametrize(("datacontenttype", "data"), DATA)
def test_what_the_package_writes_for_kafka_we_read(datacontenttype: str | None, data: Any) -> None:
    """Structured and binary records, headers as bytes, with equal attributes and data."""
    for write in (sdk_kafka.to_structured_event, sdk_kafka.to_binary_event):
        if write is sdk_kafka.to_binary_event and datacontenttype is None and data is not None:
            continue
        message = write(written(datacontenttype, data))
        taken = cloud_event_of_record(list(message.headers.items()), message.value, 0.0, "orders")
        assert taken is not None, message
        assert taken.unusable == ()
        check(taken.events[0], datacontenttype, data)


@pytest.mark.parametrize(("datacontenttype", "data"), DATA)
async def test_what_we_write_the_package_reads(datacontenttype: str | None, data: Any) -> None:
    """Our structured and binary answers, read by it, say the same."""
    gateway = GatewayCase(form=CloudEventsBody())
    message = sdk_http.to_structured_event(written(datacontenttype, data))
    await gateway.request("POST", "/events", message.body, message.headers)
    found = to_event(gateway.log.events()[0])
    for shape in (Shape.STRUCTURED, Shape.BINARY):
        ours = message_of(found, shape)
        headers = dict(ours.headers)
        if ours.content_type is not None:
            headers["content-type"] = ours.content_type
        theirs = sdk_http.from_http_event(sdk_http.HTTPMessage(headers=headers, body=ours.body))
        expected = {**ATTRIBUTES, **({} if datacontenttype is None else {"datacontenttype": datacontenttype})}
        if shape is Shape.BINARY and datacontenttype is None and data is not None:
            expected["datacontenttype"] = "application/json"
        assert theirs.get_attributes() == expected
        assert (theirs.get_data() or None) == data
