"""CloudEvents over HTTP (HTTP binding v1.0.2): content modes, headers, batches, limits, and /hooks/NAME."""

import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from schemas.event_record import to_event
from schemas.identity import derived_id
from streams.sources.cloudevents.body import CloudEventsBody
from streams.sources.kinds import hook_source
from streams.sources.trust import Trust
from tests.gateway_case import GatewayCase

pytestmark = pytest.mark.unit
MINIMAL: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "/s", "type": "a.b"}
STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"
HEADERS = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "a.b")]
Pairs = Sequence[tuple[str, str]]


def case(*secrets: str, **limits: Any) -> GatewayCase:
    """A gateway that takes CloudEvents at /events and at /hooks/ce."""
    trust = Trust(secrets=tuple(secret.encode() for secret in secrets))
    return GatewayCase(
        form=CloudEventsBody(), hooks={"ce": hook_source("cloudevents", "ce", lambda: trust)}, **limits
    )


async def binary(
    gateway: GatewayCase, *more: tuple[str, str], body: bytes = b"", path: str = "/events"
) -> httpx.Response:
    """Send a binary-mode message; a header that is given replaces the one of the minimal event."""
    given = {name.lower() for name, _ in more}
    pairs = [pair for pair in HEADERS if pair[0] not in given]
    return await gateway.request("POST", path, body, [*pairs, *more])


def attributes(gateway: GatewayCase) -> dict[str, Any]:
    """The attributes of the only event."""
    (record,) = gateway.log.events()
    found: dict[str, Any] = to_event(record).payload["cloudevents"]
    return found


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
async def test_the_conformance_suites_binary_message(content_type: str) -> None:
    """In suite, HTTP, binary: attributes from headers, data and its type from the body."""
    gateway = case()
    pairs = [
        ("ce-type", "com.example.someevent"),
        ("ce-time", "2018-04-05T03:56:24Z"),
        ("ce-id", "1234-1234-1234"),
        ("ce-source", "/mycontext/subcontext"),
        ("Content-Type", content_type),
    ]
    answer = await binary(gateway, *pairs, body=b'{\n    "message": "Hello World!"\n}')
    assert answer.status_code == 202
    found = to_event(gateway.log.events()[0])
    assert found.payload == {
        "data": {"message": "Hello World!"},
        "cloudevents": {
            "specversion": "1.0",
            "id": "1234-1234-1234",
            "type": "com.example.someevent",
            "source": "/mycontext/subcontext",
            "time": "2018-04-05T03:56:24Z",
            "datacontenttype": content_type,
        },
    }
    assert found.occurred.isoformat() == "2018-04-05T03:56:24+00:00"


@pytest.mark.parametrize("content_type", [STRUCTURED, f"{STRUCTURED}; charset=utf-8", STRUCTURED.upper()])
async def test_the_conformance_suites_structured_message(content_type: str) -> None:
    """In suite, HTTP, structured; the media type counts in any case (1.0.3 says so)."""
    gateway = case()
    answer = await gateway.post(json.dumps({**MINIMAL, "data": {"message": "Hi"}}).encode(), content_type)
    assert answer.status_code == 202
    assert to_event(gateway.log.events()[0]).payload["data"] == {"message": "Hi"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro \u20ac \U0001f600"),  # the text's own example
        ("euro%20%e2%82%ac", "euro \u20ac"),  # MUST accept lower-case values
        ("%61%62c", "abc"),  # unnecessarily encoded MUST be accepted
        ("%2525", "%25"),  # a single round
        ('"a b"', "a b"),  # MUST be unescaped with respect to double-quoted strings
        (r'"a\"b\\c\d"', r'a"b\cd'),  # including backslash escapes
        ('"a%20b"', "a b"),  # unquoted first, decoded then
        ('a "b c" d', "a b c d"),
        (r"a\b", r"a\b"),  # a backslash outside quotes is itself
        ("a b", "a b"),  # older senders did not encode spaces
        ("(a)", "(a)"),  # no comments
        ("%22a%22", '"a"'),
    ],
)
async def test_a_header_is_unquoted_then_decoded_once(value: str, text: str) -> None:
    """HTTP 3.1.3.2: the values that must be understood."""
    gateway = case()
    answer = await binary(gateway, ("ce-subject", value), ("CE-Ext1", value))
    assert answer.status_code == 202, answer.text
    assert (attributes(gateway)["subject"], attributes(gateway)["ext1"]) == (text, text)
    assert to_event(gateway.log.events()[0]).resource_id == text


INVALID: dict[str, tuple[Pairs, str]] = {
    "http 3.1.3.2: an overlong encoding MUST be rejected": ([("ce-subject", "%C0%A0")], "subject"),
    "http 3.1.3.2: half a character": ([("ce-subject", "a%E2%82")], "subject"),
    "http 3.1.3.2: an encoded surrogate": ([("ce-subject", "%ED%A0%80")], "subject"),
    "http 3.1.3.2: beyond Unicode": ([("ce-subject", "%F5%80%80%80")], "subject"),
    "http 3.1.3.2: a percent that encodes nothing": ([("ce-subject", "100%")], "subject"),
    "http 3.1.3.2: a percent before no digits": ([("ce-subject", "%zz")], "subject"),
    "http 3.1.3.2: a quote that stays open": ([("ce-subject", '"a')], "subject"),
    "http 3.1.3.2: a backslash at the end": ([("ce-subject", '"a\\')], "subject"),
    "http 3.1.3.2: bytes beyond ASCII": ([("ce-subject", "caf\u00e9")], "subject"),
    "core String: an encoded line feed": ([("ce-subject", "a%0Ab")], "subject"),
    "core String: an encoded C1 control": ([("ce-ext", "%C2%85")], "ext"),
    "core String: an encoded noncharacter": ([("ce-ext", "%EF%BF%BE")], "ext"),
    "core subject: empty": ([("ce-subject", "")], "subject"),
    "core id: quoted and empty": ([("ce-id", '""')], "id"),
    "core id: REQUIRED": ([("ce-id", "GONE")], "id"),
    "core type: REQUIRED": ([("ce-type", "GONE")], "type"),
    "core source: REQUIRED": ([("ce-source", "GONE")], "source"),
    "core specversion: REQUIRED": ([("ce-specversion", "GONE")], "specversion"),
    "core specversion: 0.3": ([("ce-specversion", "0.3")], "specversion"),
    "core time": ([("ce-time", "yesterday")], "time"),
    "core source: not a URI-reference once decoded": ([("ce-source", "/caf%C3%A9")], "source"),
    "core naming: an underscore": ([("ce-data_base64", "AA==")], "data_base64"),
    "core naming: a hyphen": ([("ce-my-ext", "a")], "my-ext"),
    "core naming (1.0.3): `data` is reserved": ([("ce-data", "a")], "data"),
    "core naming: a prefix without a name": ([("ce-", "a")], ""),
    "http 3.1.1: ce-datacontenttype MUST NOT be there": (
        [("ce-datacontenttype", "text/plain"), ("content-type", "text/plain")],
        "datacontenttype",
    ),
    "http 3.1.1: Content-Type is a media type": ([("content-type", "json")], "datacontenttype"),
    "http 3.1.3: distinct headers": ([("ce-ext", "a"), ("ce-ext", "a")], "ext"),
    "http 3.1.3: distinct headers, in any case": ([("ce-ext", "a"), ("CE-EXT", "b")], "ext"),
    "http 3.1.3: an id that stands twice": ([("ce-id", "1"), ("ce-id", "2")], "id"),
}


@pytest.mark.parametrize("name", INVALID)
async def test_an_invalid_binary_message_is_refused_by_name(name: str) -> None:
    """422 names the attribute, whichever way it is wrong; nothing is written."""
    gateway = case()
    pairs, field = INVALID[name]
    gone = {key for key, value in pairs if value == "GONE"}
    given = {key.lower() for key, _ in pairs}
    base = [pair for pair in HEADERS if pair[0] not in given]
    encoded = [(k.encode(), v.encode("latin-1")) for k, v in (*base, *pairs) if k not in gone]
    answer = await gateway.request("POST", "/events", b"", encoded)  # type: ignore[arg-type]
    assert answer.status_code == 422, answer.text
    assert [(error["index"], error["field"]) for error in answer.json()["errors"]] == [(0, field)]
    assert gateway.log.rows == []


@pytest.mark.parametrize(
    ("content_type", "body", "data"),
    [
        ("text/plain", "a\u00e9\0".encode(), {"data": "a\u00e9\0"}),
        ("text/plain; charset=ISO-8859-1", b"a\xe9", {"data": "a\u00e9"}),
        ("text/plain; charset=shift_jis", b"\x83\x65", {"data_base64": "g2U="}),
        ("text/plain", b"\xff", {"data_base64": "/w=="}),
        ("application/xml", b"<a/>", {"data": "<a/>"}),
        ("image/svg+xml", b"<a/>", {"data": "<a/>"}),
        ("application/octet-stream", b"\0\1", {"data_base64": "AAE="}),
        ("application/vnd.a+json", b'{"a": 1}', {"data": {"a": 1}}),
        ("application/json", b"null", {"data": None}),
        ("application/json", b"", {}),
        (None, b'{"a": 1}', {"data_base64": "eyJhIjogMX0="}),
        (None, b"", {}),
    ],
)
async def test_data_is_what_its_type_says(
    content_type: str | None, body: bytes, data: dict[str, Any]
) -> None:
    """By http 3.1.2: JSON as JSON, text as text, everything else and what is undeclared as bytes."""
    gateway = case()
    pairs = [] if content_type is None else [("content-type", content_type)]
    answer = await binary(gateway, *pairs, body=body)
    assert answer.status_code == 202, answer.text
    payload = dict(to_event(gateway.log.events()[0]).payload)
    assert payload.pop("cloudevents").get("datacontenttype") == content_type
    assert payload == data


async def test_data_that_is_not_its_json_is_refused() -> None:
    """By json 3.2: data that cannot be decoded as its JSON type makes the event invalid: 400."""
    for body in (b"I am no JSON", b'{"a": 1', b'{"a": 1, "a": 2}'):
        gateway = case()
        answer = await binary(gateway, ("content-type", "application/json"), body=body)
        assert (answer.status_code, gateway.log.rows) == (400, [])


async def test_one_event_is_one_event_in_every_mode() -> None:
    """By core id: source and id identify, whichever mode and way an event comes by."""
    gateway = case()
    ids = set()
    for path in ("/events", "/hooks/ce"):
        ids.update((await binary(gateway, path=path)).json()["ids"])
        for kind, document in ((STRUCTURED, MINIMAL), (BATCHED, [MINIMAL])):
            body = json.dumps(document).encode()
            ids.update((await gateway.request("POST", path, body, {"content-type": kind})).json()["ids"])
    assert ids == {derived_id("cloudevents", "/s", "1", ms=0)}
    assert len(gateway.log.events()) == 6


async def test_the_time_begins_the_id_and_the_key_of_idempotency_counts_for_nothing() -> None:
    """DESIGN 5.2: the first 48 bits are the event's own milliseconds; source and id are the identity."""
    ids = []
    for key in ("a", "b"):
        document = {**MINIMAL, "time": "2026-01-31T12:00:00.123456789Z"}
        answer = await case().post(json.dumps(document).encode(), STRUCTURED, idempotency_key=key)
        ids += answer.json()["ids"]
    assert ids[0] == ids[1] == derived_id("cloudevents", "/s", "1", ms=1769860800123)


async def test_labels_and_links() -> None:
    """Subject, else source, is the resource; extensions are labels; a chain of ours goes on."""
    gateway = case()
    chain = "01890a5d-ac96-774b-bcce-b302099a8057"
    extensions = {"traceparent": "00-ab-01", "n": 5, "yes": True, "correlationid": chain, "causationid": "x"}
    await gateway.post(
        json.dumps({**MINIMAL, "subject": "order/1", "dataschema": "urn:a:b", **extensions}).encode(),
        STRUCTURED,
    )
    found = to_event(gateway.log.events()[0])
    assert dict(found.resource) == {
        "resource.id": "order/1",
        "provider": "cloudevents",
        "source": "/s",
        "subject": "order/1",
        "type": "a.b",
        "dataschema": "urn:a:b",
        "ce.traceparent": "00-ab-01",
        "ce.n": "5",
        "ce.yes": "true",
        "ce.correlationid": chain,
        "ce.causationid": "x",
    }
    assert (found.correlation_id, found.causation_id) == (chain, None)


async def test_a_batch_is_taken_whole_or_not_at_all() -> None:
    """By http 3.3: events in order; an empty batch is fine; one bad event refuses all, naming its index."""
    gateway = case()
    some = [{**MINIMAL, "id": str(number)} for number in range(3)]
    answer = await gateway.post(json.dumps(some).encode(), f"{BATCHED}; charset=UTF-8")
    assert answer.json()["ids"] == [derived_id("cloudevents", "/s", str(n), ms=0) for n in range(3)]
    empty = await gateway.post(b"[]", BATCHED)
    assert (empty.status_code, empty.json()) == (202, {"ids": []})
    taken = len(gateway.log.rows)
    bad = [some[0], {**MINIMAL, "specversion": "0.9"}, "not an object", {**MINIMAL, "id": None}]
    answer = await gateway.post(json.dumps(bad).encode(), BATCHED)
    errors = [(error["index"], error["field"]) for error in answer.json()["errors"]]
    assert (answer.status_code, errors) == (422, [(1, "specversion"), (2, ""), (3, "id")])
    assert len(gateway.log.rows) == taken


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        (BATCHED, b"{}", 422),
        ("application/cloudevents+avro", b"x", 415),
        ("application/cloudevents", b"{}", 415),
        ("application/cloudeventsx+json", b"{}", 415),
        ("application/cloudevents+json; charset=utf-16", b"{}", 415),
        ("application/cloudevents+json; charset", b"{}", 415),
        ("text/plain", b"{}", 415),
        ("application/json", b'{"specversion": "1.0"}', 422),
    ],
)
async def test_what_is_no_known_form_is_said_so(kind: str, body: bytes, status: int) -> None:
    """By http 3, webhooks 2.2: an event format not known here is 415; plain JSON is still our own form."""
    gateway = case()
    assert (await gateway.post(body, kind)).status_code == status
    assert gateway.log.rows == []


async def test_headers_beside_a_structured_event_are_not_it() -> None:
    """By http 3.2.3: the payload holds all attributes; headers may repeat them and are not read."""
    gateway = case()
    pairs = [("content-type", STRUCTURED), ("ce-id", "other"), ("ce-bad_name", "x")]
    await gateway.request("POST", "/events", json.dumps(MINIMAL).encode(), pairs)
    assert attributes(gateway)["id"] == "1"


async def test_a_content_type_that_stands_twice_is_refused() -> None:
    """Which one counts is not guessed."""
    gateway = case()
    pairs = [*HEADERS, ("content-type", "text/plain"), ("content-type", "application/json")]
    answer = await gateway.request("POST", "/events", b"{}", pairs)
    assert (answer.status_code, gateway.log.rows) == (415, [])


async def test_our_names_and_limits_hold_for_cloud_events_too() -> None:
    """Names of ours, sizes, counts, depth and labels are bounded as for plain JSON."""
    gateway = case(event_bytes=2000, events_per_body=2, depth=5, labels=8, name_chars=20)

    async def status(document: Any, kind: str = STRUCTURED) -> int:
        return (await gateway.post(json.dumps(document).encode(), kind)).status_code

    assert await status({**MINIMAL, "type": "ensue.run.failed"}) == 422
    assert await status({**MINIMAL, "type": "a" * 21}) == 422
    assert await status({**MINIMAL, "type": "a\u2028b"}) == 422
    assert await status({**MINIMAL, "data": "x" * 2000}) == 413
    assert await status([MINIMAL] * 3, BATCHED) == 413
    assert await status({**MINIMAL, "data": [[[[[1]]]]]}) == 400
    assert await status({**MINIMAL, "data": [[[[1]]]]}) == 202
    assert await status([{**MINIMAL, "data": [[[[1]]]]}], BATCHED) == 202
    assert await status({**MINIMAL, **{f"e{n}": "x" for n in range(9)}}) == 422
    assert await status({**MINIMAL, "subject": "x" * 8193}) == 422
    assert await status({**MINIMAL, "time": "0000-01-01T00:00:00Z"}) == 422
    assert await status({**MINIMAL, "time": "1800-01-01T00:00:00Z"}) == 422
    assert await status({**MINIMAL, "time": "9999-12-31T23:59:60Z"}) == 422
    assert len(gateway.log.events()) == 2


async def test_a_refusal_does_not_repeat_what_is_long() -> None:
    """A name or value of any length is named by its first characters."""
    gateway = case()
    for document in (
        {**MINIMAL, "x" * 50_000: 1.5},
        {**MINIMAL, "X" * 50_000: 1},
        {**MINIMAL, "specversion": "x" * 9999},
    ):
        answer = await gateway.post(json.dumps(document).encode(), STRUCTURED)
        assert (answer.status_code, len(answer.content) < 1500) == (422, True)
        answer = await gateway.request(
            "POST", "/hooks/ce", json.dumps(document).encode(), {"content-type": STRUCTURED}
        )
        assert (answer.status_code, len(answer.content) < 1500) == (202, True)


async def test_a_hook_keeps_what_it_cannot_use() -> None:
    """At /hooks/NAME good events are taken, the rest is a dead letter with its attributes, 202."""
    gateway = case()
    body = json.dumps([MINIMAL, {**MINIMAL, "source": ""}]).encode()
    answer = await gateway.request("POST", "/hooks/ce", body, {"content-type": BATCHED})
    assert (answer.status_code, len(answer.json()["ids"])) == (202, 1)
    (letter,) = gateway.log.dead_letters()
    assert (letter.reason, letter.raw) == ("unusable_record", body)
    assert "event 1: source" in letter.error
    assert gateway.log.events()[0].source == "ce"
    answer = await binary(gateway, ("ce-type", "ensue.x"), path="/hooks/ce")
    assert (answer.status_code, answer.json()["ids"]) == (202, [])
    headers = json.loads(gateway.log.dead_letters()[1].headers)
    assert {name: headers[name] for name, _ in HEADERS} == {**dict(HEADERS), "ce-type": "ensue.x"}
    for kind, text, reason in (
        ("application/cloudevents+avro", b"x", "unknown_format"),
        (STRUCTURED, b"{", "malformed_json"),
        (BATCHED, json.dumps([MINIMAL] * 10_001).encode(), "too_large"),
    ):
        await gateway.request("POST", "/hooks/ce", text, {"content-type": kind})
        assert gateway.log.dead_letters()[-1].reason == reason


async def test_a_hook_with_a_secret_takes_it_in_both_places() -> None:
    """By webhooks 3: the token comes as a header or as access_token; one of them, once, and right."""
    gateway = case("new", "old")
    body = json.dumps(MINIMAL).encode()

    async def status(query: str = "", **headers: str) -> int:
        pairs = [("content-type", STRUCTURED), *headers.items()]
        return (await gateway.request("POST", f"/hooks/ce{query}", body, pairs)).status_code

    assert await status(authorization="Bearer new") == 202
    assert await status("?a=b&access_token=old") == 202
    for query in (
        "",
        "?access_token=",
        "?access_token=x",
        "?access_token=new&access_token=new",
        "?token=new",
    ):
        assert await status(query) == 401
    assert await status("?access_token=new", authorization="Bearer new") == 401
    assert await status(authorization="Basic new") == 401


async def test_a_hook_without_a_secret_takes_binary_mode_of_any_type() -> None:
    """A page cannot send ce- headers unasked, so their Content-Type does not matter; without them it does."""
    gateway = case()
    answer = await binary(gateway, ("content-type", "text/plain"), body=b"a", path="/hooks/ce")
    assert (answer.status_code, len(answer.json()["ids"])) == (202, 1)
    answer = await gateway.request("POST", "/hooks/ce", b"a", {"content-type": "text/plain"})
    assert answer.status_code == 415
    answer = await gateway.request("GET", "/hooks/ce", None, {"content-type": "application/json"})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST, OPTIONS")
