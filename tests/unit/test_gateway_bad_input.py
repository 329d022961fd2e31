"""Whatever is wrong with a body is answered with 4xx and its reason, and nothing is written."""

import gzip
import json
import zlib

import pytest
import zstandard

from tests.gateway_case import GatewayCase

pytestmark = pytest.mark.unit
GOOD = {"event": "order.created", "resource": {"resource.id": "order://1"}}
NDJSON = "application/x-ndjson"


def with_(**fields: object) -> bytes:
    """One event with these fields changed."""
    return json.dumps({**GOOD, **fields}).encode()


def raw(payload: str) -> bytes:
    """One event with this JSON text as payload."""
    return b'{"event":"e","resource":{"resource.id":"r"},"payload":' + payload.encode() + b"}"


BODIES = {
    "half an object": (b'{"event":"e"', 400, "not valid JSON"),
    "nothing": (b"", 400, "not valid JSON"),
    "NaN": (raw('{"x":NaN}'), 400, "not valid JSON"),
    "Infinity": (raw('{"x":-Infinity}'), 400, "not valid JSON"),
    "1e400": (raw('{"x":1e400}'), 400, "not valid JSON"),
    "a number of 5,000 digits": (raw('{"x":' + "1" * 5000 + "}"), 400, "not valid JSON"),
    "a number of 70 digits": (raw('{"x":' + "1" * 70 + "}"), 400, "70 characters"),
    "a key twice": (raw('{"x":1,"x":2}'), 400, "'x' stands twice"),
    "a key twice, one escaped": (raw('{"x":1,"\\u0078":2}'), 400, "'x' stands twice"),
    "a key twice, hidden by an escaped colon": (raw('{"x":":","x":"\\u003a\\u003a"}'), 400, "twice"),
    "a lone surrogate": (raw('{"x":"\\ud800"}'), 400, "not valid JSON"),
    "invalid UTF-8": (b'{"event":"\xff"}', 400, "not valid UTF-8 at byte 10"),
    "a byte order mark": (b"\xef\xbb\xbf" + with_(), 400, "not valid JSON"),
    "depth 10,000": (b"[" * 10_000 + b"]" * 10_000, 400, "depth limit"),
    "depth 70": (raw('{"x":' + "[" * 70 + "]" * 70 + "}"), 400, "deeper than 64"),
    "a text": (b'"event"', 422, "JSON object"),
    "an empty array": (b"[]", 422, "no event"),
    "a number as name": (with_(event=7), 422, "field event"),
    "an empty name": (with_(event=""), 422, "field event"),
    "a name with a line break": (with_(event="a\nb"), 422, "field event"),
    "a name of 2,000 characters": (with_(event="x" * 2000), 422, "field event"),
    "no resource": (b'{"event":"e"}', 422, "field resource"),
    "no id label": (with_(resource={"a": "b"}), 422, "resource.resource.id"),
    "an empty resource": (with_(resource={}), 422, "resource.resource.id"),
    "two id labels": (
        with_(resource={"resource.id": "a", "prefect.resource.id": "b"}),
        422,
        "differ",
    ),
    "a label that is a number": (with_(resource={"resource.id": "a", "n": 1}), 422, "resource.n"),
    "501 labels": (
        with_(resource={"resource.id": "a", **{str(n): "" for n in range(500)}}),
        422,
        "501 labels",
    ),
    "related without a role": (with_(related=[{"resource.id": "a"}]), 422, "related[0].resource.role"),
    "related of a wrong type": (with_(related={}), 422, "field related"),
    "101 related": (with_(related=[{"resource.id": "a", "resource.role": "b"}] * 101), 422, "101"),
    "a payload that is a list": (with_(payload=[1]), 422, "field payload"),
    "an id that is no UUID": (with_(id="7"), 422, "field id"),
    "an id that is a number": (with_(id=7), 422, "field id"),
    "follows that is no UUID": (with_(follows="x"), 422, "field follows"),
    "a time without zone": (with_(occurred="2026-01-31T12:00:00"), 422, "field occurred"),
    "a time that is a number": (with_(occurred=1), 422, "field occurred"),
    "a year that no table holds": (with_(occurred="0001-01-01T00:00:00Z"), 422, "field occurred"),
    "a loop": (with_(depth=32), 422, "field depth"),
    "a depth that is true": (with_(depth=True), 422, "field depth"),
    "an unknown field": (with_(resouce={}), 422, "field resouce"),
    "an event of 1.1 MB": (with_(payload={"x": "y" * 1_100_000}), 413, "1048576 are the most"),
}


@pytest.mark.parametrize("name", BODIES)
async def test_a_bad_body_is_refused_with_its_reason(name: str) -> None:
    """A bad body gets its 4xx as problem JSON that names the reason; nothing is written."""
    body, status, reason = BODIES[name]
    case = GatewayCase()
    answer = await case.post(body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    problem = answer.json()
    assert problem["status"] == status
    assert reason in problem["detail"]
    assert "Error" not in answer.text
    assert "Traceback" not in answer.text
    assert case.log.rows == []


async def test_one_bad_line_refuses_the_whole_body_naming_index_and_field() -> None:
    """Of three lines the second is bad: 422 names index 1 and its field, and none is written."""
    case = GatewayCase()
    answer = await case.post(b"\n".join([with_(), with_(resource={"a": "b"}), with_()]), NDJSON)
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {
            "index": 1,
            "field": "resource.resource.id",
            "reason": "the label resource.id (or prefect.resource.id) is missing",
        }
    ]
    assert case.log.rows == []


async def test_a_broken_line_is_named_by_its_index() -> None:
    """A line of NDJSON that is no JSON is refused with its index, as an item."""
    answer = await GatewayCase().post(with_() + b"\n{\n", NDJSON)
    assert (answer.status_code, answer.json()["errors"][0]["index"]) == (422, 1)


async def test_a_too_large_event_among_others_is_413() -> None:
    """One event over the limit refuses the body with 413 and its index, in both forms."""
    big = with_(payload={"x": "y" * 1_100_000})
    for body, kind in (
        (with_() + b"\n" + big, NDJSON),
        (b"[" + with_() + b"," + big + b"]", "application/json"),
    ):
        answer = await GatewayCase().post(body, kind)
        assert (answer.status_code, answer.json()["errors"][0]["index"]) == (413, 1)


async def test_too_many_events_are_refused() -> None:
    """100,001 events in one body are refused, as lines and as an array."""
    case = GatewayCase()
    line = b'{"event":"e","resource":{"resource.id":"r"}}'
    for body, kind in (
        (b"\n".join([line] * 100_001), NDJSON),
        (b"[" + b",".join([b"1"] * 100_001) + b"]", "application/json"),
    ):
        answer = await case.post(body, kind)
        assert answer.status_code == 413
        assert "100001 events" in answer.json()["detail"]
    assert case.log.rows == []


async def test_a_large_body_is_refused() -> None:
    """10 MB are refused with 413, with and without a declared length."""
    case = GatewayCase()
    answer = await case.post(b" " * 10_000_000)
    assert answer.status_code == 413
    assert "8388608 bytes are the most" in answer.json()["detail"]


@pytest.mark.parametrize("packed", ["gzip", "deflate", "zstd"])
async def test_a_packed_body_is_bounded_after_unpacking(packed: str) -> None:
    """A small packed event is taken; a bomb is refused whatever its packing."""
    pack = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstandard.ZstdCompressor().compress}[
        packed
    ]
    case = GatewayCase()
    assert (await case.post(pack(with_()), content_encoding=packed)).status_code == 202
    for bomb in (pack(b" " * 9_000_000), pack(b" " * 4_000_000)):
        assert (await case.post(bomb, content_encoding=packed)).status_code == 413
    assert (await case.post(pack(with_())[:-3], content_encoding=packed)).status_code == 400
    assert (await case.post(b"plain", content_encoding=packed)).status_code == 400
    assert len(case.log.rows) == 1


async def test_unknown_packing_is_refused() -> None:
    """A second layer or an unknown packing is 415 and says what is known."""
    answer = await GatewayCase().post(with_(), content_encoding="gzip, gzip")
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "gzip, deflate, zstd")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
async def test_what_a_foreign_page_may_send_is_refused(kind: str) -> None:
    """Content types that need no permission of ours are refused with 415."""
    assert (await GatewayCase().post(with_(), kind)).status_code == 415


async def test_foreign_hosts_and_origins_are_refused() -> None:
    """A Host that is not ours is 421, a page's Origin that is not ours 403; our own page may."""
    case = GatewayCase()
    assert (await case.post(with_(), host="evil.example")).status_code == 421
    assert (await case.post(with_(), host="127.0.0.1.evil.example:4288")).status_code == 421
    for origin in ("https://evil.example", "null", "http://127.0.0.1:3000"):
        assert (await case.post(with_(), origin=origin)).status_code == 403
    assert case.log.rows == []
    assert (await case.post(with_(), origin="http://127.0.0.1:4288")).status_code == 202


async def test_wrong_paths_and_methods() -> None:
    """An unknown path is 404, a wrong method 405 with Allow."""
    case = GatewayCase()
    assert (await case.request("GET", "/nothing")).status_code == 404
    answer = await case.request("GET", "/events")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
