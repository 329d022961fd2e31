"""Storage sources under bodies that are nearly right: never 5xx, never an exception's name."""

import asyncio
import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.sources.trust import Trust
from tests.source_case import SourceCase
from tests.token_case import jwks
from tests.unit.test_azure_source import cloud, grid
from tests.unit.test_eventbridge_source import event
from tests.unit.test_google_source import ATTRIBUTES, OBJECT, push, raised
from tests.unit.test_s3_records import record
from tests.unit.test_sns_source import handshake, notification

pytestmark = pytest.mark.property
BODIES: list[Any] = [
    {"Records": [record()]},
    notification(json.dumps({"Records": [record()]})),
    handshake(),
    {"Messages": [{"MessageId": "1", "ReceiptHandle": "r", "Body": json.dumps({"Records": [record()]})}]},
    event(),
    event() | {"source": "my.app"},
    push(item=OBJECT),
    push() | {"message": {"data": "SGVsbG8=", "messageId": "1", "publishTime": "2021-07-11T10:40:01Z"}},
    raised(),
    OBJECT,
    [grid()],
    [cloud(grid())],
    [
        grid()
        | {"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {"validationCode": "c"}}
    ],
    [grid() | {"eventType": "Microsoft.Resources.ResourceWriteSuccess"}],
]
KINDS = ["s3", "minio", "sns", "sqs", "eventbridge", "gcs", "pubsub", "azure", "eventgrid"]
TRUSTS = [
    Trust(),
    Trust(secrets=(b"s",)),
    Trust(query_token="t"),
    Trust(topic_arns=frozenset({notification()["TopicArn"]}), query_token="t"),
    Trust(jwks=jwks(), audience="a", email="e", issuers=("https://accounts.google.com",)),
    Trust(allowed_origins=("*",)),
]
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**18), 10**18),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=40),
    st.sampled_from(
        [
            "",
            "%",
            "%FF",
            "%C3%28",
            "\x00",
            "9999-12-31T23:59:59-14:00",
            "0001-01-01",
            "https://[",
            "//",
            "=",
            "\ufdd0",
        ]
    ),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "authorization",
                "content-type",
                "x-api-key",
                "x-amz-sns-message-type",
                "x-amz-sns-rawdelivery",
                "x-amz-sns-topic-arn",
                "x-amz-sns-message-id",
                "x-goog-pubsub-message-id",
                "x-goog-pubsub-publish-time",
                "ce-specversion",
                "ce-type",
                "ce-time",
                "webhook-request-origin",
                *(name.lower() for name in ATTRIBUTES),
            ]
        ),
        st.one_of(
            st.sampled_from(
                [
                    "true",
                    "1.0",
                    "Bearer s",
                    "Bearer a.b.c",
                    "Basic czpz",
                    "Basic %",
                    "application/cloudevents+json",
                    "text/plain",
                    "OBJECT_FINALIZE",
                    "google.cloud.storage.object.v1.finalized",
                    "%FF",
                    "",
                ]
            ),
            st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=20),
        ),
    ),
    max_size=6,
)


@st.composite
def nearly_right(draw: st.DrawFn) -> bytes:
    """A published body with some values replaced, added or removed; sometimes cut off."""
    body = copy.deepcopy(draw(st.sampled_from(BODIES)))
    for _ in range(draw(st.integers(0, 3))):
        node: Any = body
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(node[key], dict | list) and draw(st.booleans()):
                node = node[key]
                continue
            if isinstance(node, dict) and draw(st.integers(0, 4)) == 0:
                del node[key]
            else:
                node[key] = draw(ODD)
            break
    raw = json.dumps(body).encode()
    return raw[: draw(st.integers(0, len(raw)))] if draw(st.integers(0, 9)) == 0 else raw


@given(
    kind=st.sampled_from(KINDS),
    trust=st.sampled_from(TRUSTS),
    body=nearly_right(),
    headers=HEADERS,
    query=st.sampled_from(["", "token=t", "token=%FF", "token"]),
    method=st.sampled_from(["POST", "POST", "POST", "OPTIONS", "GET"]),
)
def test_whatever_comes_is_taken_kept_or_refused(
    kind: str, trust: Trust, body: bytes, headers: list[tuple[str, str]], query: str, method: str
) -> None:
    """2xx, 401 or 415; a refusal stores nothing; what is kept says why without an exception's name."""
    case = SourceCase(kind, trust)
    answer = asyncio.run(case.send(body, headers, query=query, method=method))
    assert answer.status_code in {200, 202, 401, 415}, answer.text
    if answer.status_code in {401, 415}:
        assert case.empty
    for letter in case.gateway.log.dead_letters():
        assert letter.reason != "unknown"
        assert "Error" not in letter.error
        assert letter.raw == body
    for found in case.events():
        assert found.source == "it"
    assert case.outbound.confirmed == []
