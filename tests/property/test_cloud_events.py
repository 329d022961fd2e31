"""CloudEvents of any content: in and out again without a loss; bytes of any kind: an answer below 500."""

import asyncio
import binascii
import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.event_record import to_event
from streams.inbound import Taken
from streams.sources.cloudevents.attribute_types import INTEGER_MAX, INTEGER_MIN, canonical
from streams.sources.cloudevents.body import CloudEventsBody
from streams.sources.cloudevents.cloud_event import Content
from streams.sources.cloudevents.json_format import from_json
from streams.sources.cloudevents.kafka import cloud_event_of_record
from streams.sources.cloudevents.mapping import cloud_event_of
from streams.sources.cloudevents.negotiation import Shape, message_of
from streams.sources.kinds import hook_source
from streams.sources.trust import Trust
from tests.gateway_case import GatewayCase

pytestmark = pytest.mark.property
STRUCTURED = "application/cloudevents+json"
JSON_TYPES = [None, "application/json", "application/vnd.x+json; a=b"]
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"]), min_size=1, max_size=40)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
NAMES = st.from_regex(r"[a-z0-9]{1,25}", fullmatch=True).filter(
    lambda name: (
        name not in {"id", "source", "specversion", "type", "subject", "time", "data"}
        and name not in {"datacontenttype", "dataschema", "correlationid", "causationid"}
    )
)
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)
TIMES = st.builds(
    lambda at, digits, zone: at.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + digits + zone,
    st.datetimes(),
    st.sampled_from(["", ".5", ".123456", ".123456789012"]),
    st.sampled_from(["Z", "z", "+05:30", "-00:00", "-23:59"]),
).filter(lambda text: "1902" < text[:4] < "2298")


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A valid event in the JSON format."""
    optional: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "subject": TEXTS,
                "time": TIMES,
                "dataschema": TEXTS.map(lambda text: "urn:x:" + quote(text, safe="")),
            },
        )
    )
    extensions = draw(
        st.dictionaries(NAMES, TEXTS | st.just("") | st.booleans() | st.integers(INTEGER_MIN, INTEGER_MAX))
    )
    data: dict[str, Any] = draw(
        st.just({})
        | st.builds(
            lambda value, kind: {"data": value, "datacontenttype": kind},
            JSON_VALUES,
            st.sampled_from(JSON_TYPES),
        )
        | st.builds(lambda text: {"data": text, "datacontenttype": "text/plain"}, ANY_TEXT)
        | st.builds(
            lambda raw, kind: {"data_base64": quote_base64(raw), "datacontenttype": kind},
            st.binary(max_size=100),
            st.sampled_from([None, "image/png", "text/plain"]),
        )
    )
    return {
        "specversion": "1.0",
        "id": draw(TEXTS),
        "source": "/" + quote(draw(TEXTS)),
        "type": draw(TEXTS.filter(lambda text: text.isprintable() and not text.startswith("ensue."))),
        **optional,
        **extensions,
        **{name: value for name, value in data.items() if value is not None or name == "data"},
    }


def quote_base64(raw: bytes) -> str:
    """Base64 by another way than the code under test."""
    return binascii.b2a_base64(raw, newline=False).decode()


def taken(gateway: GatewayCase, body: bytes, headers: dict[str, str]) -> str:
    """Post an event; return its id."""
    answer = asyncio.run(gateway.request("POST", "/events", body, headers))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["ids"][0])


@given(document=documents())
def test_in_and_out_again_nothing_is_lost(document: dict[str, Any]) -> None:
    """Structured in and out: equal; through binary mode: the same id, attributes as texts, same data."""
    gateway = GatewayCase(form=CloudEventsBody())
    event_id = taken(gateway, json.dumps(document).encode(), {"content-type": STRUCTURED})
    event = to_event(gateway.log.events()[0])
    structured = message_of(event, Shape.STRUCTURED)
    assert json.loads(structured.body) == document
    binary = message_of(event, Shape.BINARY)
    headers = {**binary.headers, **({"content-type": binary.content_type} if binary.content_type else {})}
    assert taken(gateway, binary.body, headers) == event_id
    first, second = from_json(document), cloud_event_of(to_event(gateway.log.events()[1]))
    said = {name: canonical(value) for name, value in first.attributes.items()}
    if first.content is Content.JSON:
        said.setdefault("datacontenttype", "application/json")
    assert second.attributes == said
    if second.content is first.content:
        assert second.data == first.data
    else:  # HTTP has no bytes for an empty text, and text as bytes looks like text
        assert message_of(to_event(gateway.log.events()[1]), Shape.BINARY).body == binary.body


HEADER_NAMES = st.sampled_from(
    [
        "ce-id",
        "ce-type",
        "ce-source",
        "ce-specversion",
        "ce-time",
        "ce-x",
        "ce-",
        "content-type",
        "webhook-request-origin",
        "webhook-request-rate",
        "authorization",
        "content-encoding",
    ]
)
HEADER_VALUES = st.one_of(
    st.binary(max_size=60).map(lambda raw: raw.translate(None, b"\r\n\0")),
    st.sampled_from([b"1.0", b"a", b"/s", b"%", b'"', b"application/json", b"text/plain; charset=utf-8"]),
    st.sampled_from([STRUCTURED.encode(), b"application/cloudevents-batch+json", b"application/cloudevents"]),
)
BODIES = st.one_of(
    st.binary(max_size=300),
    JSON_VALUES.map(lambda value: json.dumps(value).encode()),
    documents().map(lambda document: json.dumps(document).encode()),
    st.lists(documents() | JSON_VALUES, max_size=3).map(lambda value: json.dumps(value).encode()),
)


@given(
    method=st.sampled_from(["POST", "OPTIONS", "GET", "PUT"]),
    path=st.sampled_from(["/events", "/hooks/open", "/hooks/shut"]),
    pairs=st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES), max_size=8),
    body=BODIES,
)
def test_whatever_comes_the_answer_is_below_500(
    method: str, path: str, pairs: list[tuple[str, bytes]], body: bytes
) -> None:
    """Any headers, any body, each door: taken, refused or kept; never a fault of ours."""
    hooks = {
        "open": hook_source("cloudevents", "open", lambda: Trust(allowed_origins=("*",))),
        "shut": hook_source("cloudevents", "shut", lambda: Trust(secrets=(b"a",), query_token="b")),
    }
    gateway = GatewayCase(form=CloudEventsBody(["*"]), hooks=hooks)
    headers = [(name.encode(), value) for name, value in pairs]
    answer: httpx.Response = asyncio.run(gateway.request(method, path, body, headers))  # type: ignore[arg-type]
    assert answer.status_code < 500, answer.text
    assert "Traceback" not in answer.text


@given(
    headers=st.lists(
        st.tuples(
            st.sampled_from(["ce_id", "ce_specversion", "ce_type", "ce_source", "ce_x", "content-type", "a"]),
            st.none() | HEADER_VALUES | st.binary(max_size=20),
        ),
        max_size=8,
    ),
    value=st.none() | BODIES,
    assumed=st.booleans(),
)
def test_whatever_a_record_holds_it_is_read_or_said_why(
    headers: list[tuple[str, bytes | None]], value: bytes | None, assumed: bool
) -> None:
    """Kafka records of any content: an event, a sentence, or None; no exception."""
    found = cloud_event_of_record(headers, value, 1.0, "topic", assumed=assumed)
    assert found is None or isinstance(found, Taken)
    assert found is None or len(found.events) + len(found.unusable) == 1
