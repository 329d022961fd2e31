"""Whatever bytes come over HTTP: an answer as described, in time, no 5xx but 503, nothing of ours in it."""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS, load_all_checks
from starlette.routing import BaseRoute

from streams.errors import Transport
from streams.gateway.openapi import DOCUMENT
from streams.sources.cloudevents.body import CloudEventsBody
from streams.sources.kinds import KINDS
from streams.wiring.event_route import event_routes
from streams.wiring.internal_routes import InternalRoutes
from streams.wiring.sql_route import sql_routes
from tests.gateway_case import GatewayCase
from tests.hostile_case import BODIES, doors
from tests.wire import Got, send

pytestmark = pytest.mark.property
EXAMPLES, EXAMPLES_SOAK = 25, 2000
BYTES_EXAMPLES, BYTES_EXAMPLES_SOAK = 400, 100_000
# Names of our files, of exceptions and of Python itself.
OURS = re.compile(
    rb"Traceback|\.py\b|streams[./]|site-packages|\b[A-Z]\w+(Error|Exception|Warning)\b|0x[0-9a-f]{6}"
)
CHECKED = [
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
]


OWNER = "the-secret-of-the-data-folder"


class NoStore:
    """A store that is away."""

    def __getattr__(self, name: str) -> Any:
        """Say so, whatever is asked."""

        def away(*_: object, **__: object) -> Any:
            raise Transport("the store does not answer; is it running?")

        return away


def extra_routes() -> list[BaseRoute]:
    """The routes beside the gateway that need no broker."""
    store: Any = NoStore()
    internal = InternalRoutes(OWNER, store, {}, dict)
    return [*sql_routes(store), *event_routes(store), *internal.routes()]


def gateway() -> GatewayCase:
    """A gateway with everything that is served over HTTP."""
    return GatewayCase(hooks=HOOKS, extra_routes=extra_routes(), form=CloudEventsBody(["*"]))


HOOKS = {f"{door}-{kind}": source for kind in KINDS for door, source in doors(kind).items()}
NAMES = [*HOOKS, "nobody"]


def described() -> dict[str, Any]:
    """The description, with the names of the sources that are here."""
    document: dict[str, Any] = json.loads(DOCUMENT)
    document["paths"]["/hooks/{name}"]["parameters"][0]["schema"] = {"enum": NAMES}
    return document


SCHEMA = schemathesis.openapi.from_dict(described())
ENDLESS = {"GET /events/stream"}
OPERATIONS = {
    operation.label: operation
    for operation in (found.ok() for found in SCHEMA.get_all_operations())
    if operation.label not in ENDLESS
}
load_all_checks()


def sound(got: Got) -> None:
    """Assert what holds of every answer."""
    assert 200 <= got.status < 500 or got.status == 503, got
    assert OURS.search(got.body) is None, got.body
    if got.status >= 400 and "reasons" not in (problem := _json(got)):
        assert got.headers["content-type"] == "application/problem+json", got
        assert problem["status"] == got.status
        assert {"type", "title", "detail"} <= problem.keys()
        assert got.status != 503 or int(got.headers["retry-after"]) >= 1


def _json(got: Got) -> dict[str, Any]:
    found = got.json()
    assert isinstance(found, dict)
    return found


def conforms(label: str, examples: int) -> None:
    """Send generated requests of one operation, good and bad ones; judge the answers by the description."""
    app = gateway().served.app
    checks = CHECKS.get_by_names(CHECKED)

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), database=None)
    @given(OPERATIONS[label].as_strategy())
    def one(case: schemathesis.Case) -> None:
        secret = {"Authorization": f"Bearer {OWNER}"} if "/internal/" in label else {}
        answer = case.call(app=app, base_url="http://127.0.0.1:4288", headers=secret, timeout=10)
        got = Got(answer.status_code, {k: v[0] for k, v in answer.headers.items()}, answer.content)
        sound(got)
        case.validate_response(answer, checks=checks)

    one()


@pytest.mark.parametrize("label", OPERATIONS)
def test_answers_are_as_described(label: str) -> None:
    """Every answer's status, content type, headers and body are those of openapi.json."""
    conforms(label, EXAMPLES)


@pytest.mark.soak
@pytest.mark.parametrize("label", OPERATIONS)
def test_answers_are_as_described_for_long(label: str) -> None:
    """The same with many more requests."""
    conforms(label, EXAMPLES_SOAK)


PATHS = [
    "/events",
    "/sql",
    "/api/events",
    "/events/x",
    "/internal/sources",
    "/metrics",
    "/health/ready",
    "/openapi.json",
    "/",
    "/hooks/",
    "/hooks/\U0001f600/..//%00",
    "//events",
    *(f"/hooks/{name}" for name in NAMES),
]
HEADER_NAMES = [
    b"content-type",
    b"content-encoding",
    b"authorization",
    b"idempotency-key",
    b"expect",
    b"x-hub-signature-256",
    b"x-signature",
    b"webhook-id",
    b"webhook-timestamp",
    b"webhook-signature",
    b"stripe-signature",
    b"x-slack-signature",
    b"x-slack-request-timestamp",
    b"x-shopify-hmac-sha256",
    b"x-amz-sns-message-type",
    b"aeg-event-type",
    b"webhook-request-origin",
    b"webhook-request-rate",
    b"ce-specversion",
    b"ce-id",
    b"ce-type",
    b"ce-source",
    b"ce-time",
    b"ce-subject",
    b"x-github-event",
    b"x-github-delivery",
]
HEADER_VALUES = [
    b"application/json",
    b"application/json; charset=utf-8",
    b"application/x-ndjson",
    b"application/cloudevents+json",
    b"application/cloudevents-batch+json; charset=utf-8",
    b"text/plain; charset=UTF-8",
    b"application/x-www-form-urlencoded",
    b"gzip",
    b"zstd",
    b"deflate",
    b"1.0",
    b"1",
    b"1763820992",
    b"99999999999999999999999",
    b"-1",
    b"nan",
    b"Bearer " + b"a" * 30,
    b"Bearer a.b.c",
    b"Basic \xff",
    b"Basic dXNlcjpwYXNzd29yZA==",
    b"sha256=" + b"0" * 64,
    b"t=1763820992,v1=00,v1=\xff",
    b"v1,AAAA v1a,AAAA v2,x",
    b"v0=" + b"0" * 64,
    b"SubscriptionConfirmation",
    b"%ff%00%C3%28",
    b"2026-11-22T14:16:32Z",
    b"push",
]
# A server hands on any byte but line ends and zero.
wild = st.binary(max_size=40).map(lambda raw: raw.translate(None, b"\r\n\0"))
headers = st.lists(
    st.tuples(st.sampled_from(HEADER_NAMES), st.one_of(st.sampled_from(HEADER_VALUES), wild)), max_size=8
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A body of some form with one value replaced, or some bytes."""
    document = json.loads(draw(st.sampled_from(list(BODIES.values()))))
    places = list(_places(document))
    holder, key = draw(st.sampled_from(places))
    holder[key] = draw(values)
    raw = json.dumps(document).encode("utf-8", "surrogatepass")
    cut = draw(st.integers(0, 40))
    return raw[: len(raw) - cut] if cut < 5 else raw


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


bodies = st.one_of(
    spoilt(),
    st.binary(max_size=60),
    st.lists(st.binary(max_size=20), max_size=4),
    values.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")),
)


def survives(examples: int) -> None:
    """Send bytes of all sorts to every path."""
    case = gateway()

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), database=None)
    @given(
        method=st.sampled_from(["POST", "POST", "POST", "GET", "OPTIONS", "PUT", "HEAD", "X", "PRI"]),
        path=st.sampled_from(PATHS),
        pairs=headers,
        query=wild,
        body=bodies,
        json_type=st.booleans(),
    )
    def one(
        method: str,
        path: str,
        pairs: list[tuple[bytes, bytes]],
        query: bytes,
        body: bytes | list[bytes],
        json_type: bool,
    ) -> None:
        if json_type:
            pairs = [(b"content-type", b"application/json"), *pairs]
        got = runner.run(send(case.served.app, method, path, pairs, body, query=query))
        if method != "HEAD":
            sound(got)
        case.log.rows.clear()

    with asyncio.Runner() as runner:
        one()


def test_no_bytes_break_the_door() -> None:
    """Any method, path, headers, query and body: an answer at once, sound, without a name of ours."""
    survives(BYTES_EXAMPLES)


@pytest.mark.soak
def test_no_bytes_break_the_door_for_long() -> None:
    """The same with many more requests."""
    survives(BYTES_EXAMPLES_SOAK)
