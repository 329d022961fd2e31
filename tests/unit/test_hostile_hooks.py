"""Bombs and broken forms at every door: an answer of 2xx or 4xx, soon, and nothing taken in halves."""

import time
from collections.abc import Mapping

import pytest

from streams.sources.kinds import KINDS
from tests.bombs import HEADERS, JSON, NESTED, PACKED, PLAIN, SIGNATURES
from tests.gateway_case import GatewayCase
from tests.hostile_case import BODIES, doors
from tests.wire import Got, send

pytestmark = pytest.mark.unit
CPU_S_MAX = 1.0  # of this process, so that a busy machine does not judge
PLACES = ["/events", *KINDS]


def paths(place: str) -> tuple[GatewayCase, list[str]]:
    """A gateway, and what to attack: /events, or both doors of a kind."""
    if place == "/events":
        return GatewayCase(), ["/events"]
    hooks = doors(place)
    return GatewayCase(hooks=hooks), [f"/hooks/{door}" for door in hooks]


def told(found: Mapping[str, Got]) -> dict[str, int]:
    """Answers other than 2xx and 4xx."""
    return {name: got.status for name, got in found.items() if not 200 <= got.status < 500}


@pytest.mark.parametrize("place", PLACES)
async def test_a_packed_bomb_is_refused(place: str) -> None:
    """Whatever its packing, a body that grows beyond bounds, or is not one whole stream, is 4xx."""
    case, attacked = paths(place)
    for path in attacked:
        for name, (encoding, body) in PACKED.items():
            began_s = time.process_time()
            got = await send(
                case.served.app, "POST", path, [JSON, (b"content-encoding", encoding.encode())], body
            )
            assert (name, got.status // 100) == (name, 4)
            assert got.headers["content-type"] == "application/problem+json"
            assert time.process_time() - began_s < CPU_S_MAX, name
    assert case.log.rows == []


@pytest.mark.parametrize("place", PLACES)
async def test_packing_within_packing_is_opened_once(place: str) -> None:
    """A bomb within an innocent packing stays packed: no JSON, so refused or kept as the bytes they are."""
    case, attacked = paths(place)
    for path in attacked:
        got = await send(case.served.app, "POST", path, [JSON, (b"content-encoding", b"gzip")], NESTED)
        assert got.status in {202, 400, 401, 422}
    assert all(len(letter.raw) < 20_000 for letter in case.log.dead_letters())
    assert case.log.events() == []


@pytest.mark.parametrize("place", PLACES)
async def test_a_body_made_to_hurt_costs_little(place: str) -> None:
    """Depth, keys, numbers, records: each is answered with 2xx or 4xx for less than a second's work."""
    case, attacked = paths(place)
    slow: dict[str, float] = {}
    for path in attacked:
        found = {}
        for name, body in PLAIN.items():
            began_s = time.process_time()
            found[name] = await send(case.served.app, "POST", path, [JSON], body)
            took_s = time.process_time() - began_s
            if took_s > CPU_S_MAX:
                slow[f"{path} {name}"] = round(took_s, 2)
            case.log.rows.clear()
        assert told(found) == {}
    assert slow == {}


@pytest.mark.parametrize("place", PLACES)
async def test_odd_headers_break_nothing(place: str) -> None:
    """Headers twice, empty, endless or of any bytes: 2xx or 4xx; and never taken from who proved nothing."""
    case, attacked = paths(place)
    for path in attacked:
        for headers in HEADERS.values():
            found = {
                f"{method} {name}": await send(case.served.app, method, path, headers, body)
                for name, body in BODIES.items()
                for method in ("POST", "OPTIONS")
            }
            assert told(found) == {}
    if place not in {"/events", "none"}:
        assert "locked" not in {event.source for event in case.log.events()}
        assert "locked" not in {letter.source for letter in case.log.dead_letters()}


@pytest.mark.parametrize("place", PLACES)
async def test_a_body_in_many_parts_is_the_same_body(place: str) -> None:
    """20,000 parts of one byte each, or empty ones between, give what the whole gives."""
    case, attacked = paths(place)
    body = BODIES["s3 records"].ljust(20_000)
    for path in attacked:
        whole = await send(case.served.app, "POST", path, [JSON], body)
        single = await send(case.served.app, "POST", path, [JSON], [bytes([byte]) for byte in body])
        gaps = await send(case.served.app, "POST", path, [JSON], [b"", body[:100], b"", b"", body[100:], b""])
        assert whole.status == single.status == gaps.status < 500


async def test_a_sender_that_hangs_up_leaves_nothing_behind() -> None:
    """A body that ends in the middle is answered nobody, and holds no place among those at work."""
    case = GatewayCase(hooks=doors("s3"))
    app = case.served.app
    for path in ("/events", "/hooks/locked", "/hooks/opened"):
        messages = [{"type": "http.disconnect"}, {"type": "http.request", "body": b"{", "more_body": True}]
        sent: list[object] = []

        async def receive(messages: list[dict[str, object]] = messages) -> dict[str, object]:
            return messages.pop()

        async def answer(message: object, sent: list[object] = sent) -> None:
            sent.append(message)

        headers = [(b"host", b"127.0.0.1"), JSON]
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
        await app(scope, receive, answer)  # type: ignore[arg-type]
        assert sent == []
    assert (case.served.in_flight.bytes, case.served.in_flight.requests) == (0, 0)
    assert case.log.rows == []


def test_every_signature_header_is_attacked() -> None:
    """The list of headers holds what every scheme reads, so that none is left out."""
    assert len(set(SIGNATURES)) == len(SIGNATURES) >= 16
