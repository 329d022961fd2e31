"""WS /api/events/in as Prefect's client uses it: a pong means that Kafka has acknowledged."""

import asyncio
import base64
import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from streams.errors import Transport
from streams.gateway.prefect import events_in, handshake
from tests.live_case import LiveCase, closed, prefect_event

pytestmark = pytest.mark.unit
IN = "/api/events/in"
SUBPROTOCOLS: Any = ["prefect"]


async def test_a_pong_waits_for_the_acknowledgement_of_everything_before_the_ping() -> None:
    """A ping is answered when all events before it are acknowledged, and not earlier."""
    case = LiveCase()
    case.producer.held = True
    async with case.running(), case.prefect(IN) as socket:
        for number in range(50):
            await socket.send(json.dumps(prefect_event(number)))
        pong = await socket.ping()
        await case.until_held(1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(pong), 0.3)
        assert not case.events()
        case.producer.release()
        await asyncio.wait_for(pong, 5)
        assert len(case.events()) == 50


async def test_an_event_sent_after_a_ping_does_not_hold_its_pong_back() -> None:
    """A pong says nothing of later events, so it does not wait for them."""
    case = LiveCase()
    async with case.running(), case.prefect(IN) as socket:
        await socket.send(json.dumps(prefect_event(1)))
        await asyncio.wait_for(await socket.ping(), 5)
        case.producer.held = True
        first = await socket.ping()
        await socket.send(json.dumps(prefect_event(2)))
        second = await socket.ping()
        await asyncio.wait_for(first, 5)
        await case.until_held(1)
        assert not second.done()
        case.producer.release()


async def test_a_close_is_answered_when_everything_before_it_is_acknowledged() -> None:
    """A client that closes without a last ping loses nothing either: the closing handshake waits, too."""
    case = LiveCase()
    case.producer.held = True
    async with case.running():
        async with case.prefect(IN) as socket:
            await socket.send(json.dumps(prefect_event(1)))
            closing = asyncio.create_task(socket.close())
            await case.until_held(1)
            await asyncio.sleep(0.1)
            assert not closing.done()
            case.producer.release()
            await asyncio.wait_for(closing, 5)
        assert len(case.events()) == 1


async def test_without_an_acknowledgement_the_socket_closes_and_no_pong_comes() -> None:
    """When Kafka fails the client is sent away with 1013, unconfirmed: it comes back and sends again."""
    case = LiveCase()
    case.producer.failure = Transport("no broker")
    async with case.running(), case.prefect(IN) as socket:
        await socket.send(json.dumps(prefect_event(1)))
        pong = await socket.ping()
        code, reason = await closed(socket)
        assert (code, "did not acknowledge" in (reason or "")) == (1013, True)
        with pytest.raises(ConnectionClosed):
            await pong


async def test_fields_arrive_as_given() -> None:
    """Id, time, labels, related resources, payload and the leader are the client's own."""
    leader, related = prefect_event(1), [{"prefect.resource.id": "f", "prefect.resource.role": "flow"}]
    event = prefect_event(2, follows=leader["id"], related=related, payload={"ä": [1, None]}, extra="?")
    case = LiveCase()
    async with case.running(), case.prefect(IN) as socket:
        await socket.send(json.dumps(event))
        await asyncio.wait_for(await socket.ping(), 5)
    record = case.events()[0]
    assert (record.id, record.follows, record.source) == (event["id"], leader["id"], "prefect")
    assert (record.resource_id, record.occurred) == ("order.2", 1_769_860_800_123_456)
    assert json.loads(record.related) == related
    assert json.loads(record.payload) == {"ä": [1, None]}
    assert json.loads(record.resource) == {"prefect.resource.id": "order.2"}


BAD: dict[str, tuple[str | bytes, str]] = {
    "no JSON": ("{", "malformed_json"),
    "a key twice": ('{"event": "a", "event": "b"}', "malformed_json"),
    "no object": ("[]", "unusable_record"),
    "no id": (json.dumps({**prefect_event(0), "id": None}), "unusable_record"),
    "no time": (json.dumps({**prefect_event(0), "occurred": None}), "unusable_record"),
    "a name of ours": (json.dumps(prefect_event(0, event="ensue.run.succeeded")), "unusable_record"),
    "no resource": (json.dumps(prefect_event(0, resource={})), "unusable_record"),
    "a number as a label": (
        json.dumps(prefect_event(0, resource={"prefect.resource.id": 1})),
        "unusable_record",
    ),
    "too large": (json.dumps(prefect_event(0, payload={"x": "y" * (1 << 20)})), "too_large"),
    "bytes that are no text": (b"\xff\xfe", "malformed_json"),
}


@pytest.mark.parametrize("what", BAD)
async def test_a_bad_event_is_kept_and_harms_no_other(what: str) -> None:
    """What cannot be used becomes a dead letter with its bytes and a reason; the stream goes on."""
    raw, reason = BAD[what]
    case = LiveCase()
    async with case.running(), case.prefect(IN) as socket:
        await socket.send(json.dumps(prefect_event(1)))
        await socket.send(raw)
        await socket.send(json.dumps(prefect_event(2)))
        await asyncio.wait_for(await socket.ping(), 5)
        assert len(case.events()) == 2
    letter = case.letters()[0]
    assert (letter.raw, letter.reason) == (raw.encode() if isinstance(raw, str) else raw, reason)
    assert letter.source == "prefect"


async def test_a_bad_event_is_safe_before_its_pong() -> None:
    """The pong waits for a dead letter as for an event."""
    case = LiveCase()
    case.producer.held = True
    async with case.running(), case.prefect(IN) as socket:
        await socket.send("{")
        pong = await socket.ping()
        await case.until_held(1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(pong), 0.2)
        case.producer.release()
        await asyncio.wait_for(pong, 5)
        assert len(case.letters()) == 1


async def test_reading_stops_when_too_much_is_unacknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one client has under way is bounded; the rest waits at its side of the wire."""
    monkeypatch.setattr(events_in, "UNSETTLED_MAX", 100)
    case = LiveCase()
    case.producer.held = True
    async with case.running(), case.prefect(IN) as socket:
        for number in range(1_000):
            await socket.send(json.dumps(prefect_event(number)))
        pong = await socket.ping()
        await case.until_held(1)
        await asyncio.sleep(0.2)
        assert 1 <= case.producer.in_flight <= 100
        assert case.served.in_flight.bytes <= 100 * 1_000
        case.producer.release()
        await asyncio.wait_for(pong, 10)
        assert len(case.events()) == 1_000
    assert case.served.in_flight.bytes == 0


async def test_events_keep_the_order_of_their_sending() -> None:
    """Events of one resource stand in the log in the order in which they were sent."""
    case = LiveCase()
    async with case.running(), case.prefect(IN) as socket:
        for number in range(2_000):
            resource = {"prefect.resource.id": "one"}
            await socket.send(json.dumps(prefect_event(number, resource=resource)))
        await asyncio.wait_for(await socket.ping(), 10)
    assert [json.loads(record.payload)["number"] for record in case.events()] == list(range(2_000))


async def test_pings_of_a_peer_that_never_reads_are_not_buffered_for_ever() -> None:
    """A flood of pings is answered in the end, at least the last of them."""
    case = LiveCase()
    case.producer.held = True
    async with case.running(), case.prefect(IN) as socket:
        await socket.send(json.dumps(prefect_event(1)))
        pongs = [await socket.ping() for _ in range(200)]
        await case.until_held(1)
        case.producer.release()
        # The client library takes the answer to a later ping for the answer to all before it.
        await asyncio.wait_for(asyncio.gather(*pongs), 5)


async def test_the_auth_string_is_asked_for() -> None:
    """With an auth string the right token is let in, others are closed with 1008 and the known reasons."""
    case = LiveCase(auth="user:päss")
    async with case.running():
        async with case.prefect(IN, "user:päss") as socket:
            await asyncio.wait_for(await socket.ping(), 5)
        told = {}
        for token in (None, "", "user:pass", 7):
            async with case.socket(IN, subprotocols=SUBPROTOCOLS) as socket:
                await socket.send(json.dumps({"type": "auth", "token": token}))
                told[token] = await closed(socket)
        missing, wrong = (1008, "Auth required but no token provided"), (1008, "Invalid token")
        assert told == {None: missing, "": missing, "user:pass": wrong, 7: wrong}


async def test_a_basic_header_is_as_good_as_a_token() -> None:
    """A client behind a proxy shows the auth string as a header; an old one without the subprotocol, too."""
    header = {"authorization": "Basic " + base64.b64encode(b"user:pass").decode()}
    case = LiveCase(auth="user:pass")
    async with case.running():
        async with case.socket(IN, subprotocols=SUBPROTOCOLS, additional_headers=header) as socket:
            await socket.send(json.dumps({"type": "auth", "token": None}))
            assert json.loads(await socket.recv()) == {"type": "auth_success"}
        async with case.socket(IN, additional_headers=header) as socket:
            await socket.send(json.dumps(prefect_event(1)))
            await asyncio.wait_for(await socket.ping(), 5)
        with pytest.raises(InvalidStatus) as refused:
            await case.socket(IN).__aenter__()
        assert refused.value.response.status_code == 403
    assert len(case.events()) == 1


async def test_a_first_message_that_is_no_auth_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first message must be `auth` and must come in time, else 1008."""
    monkeypatch.setattr(handshake, "WORDS_WITHIN_S", 0.2)
    case = LiveCase()
    async with case.running():
        for first in ('{"type": "event"}', "{", "[]", "7"):
            async with case.socket(IN, subprotocols=SUBPROTOCOLS) as socket:
                await socket.send(first)
                assert await closed(socket) == (1008, "Expected 'auth' message")
        async with case.socket(IN, subprotocols=SUBPROTOCOLS) as socket:
            assert (await closed(socket))[0] == 1008


async def test_without_an_auth_string_old_clients_are_let_in() -> None:
    """A client that asks for no subprotocol sends events at once."""
    case = LiveCase()
    async with case.running(), case.socket(IN) as socket:
        await socket.send(json.dumps(prefect_event(1)))
        await asyncio.wait_for(await socket.ping(), 5)
        assert len(case.events()) == 1


REFUSED = {
    "a foreign page": ({"origin": "http://evil.example"}, 403),
    "a foreign host": ({"host": "evil.example"}, 421),
    "too many headers": ({f"x-{number}": "1" for number in range(120)}, 431),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_an_upgrade_is_checked_like_every_request(what: str) -> None:
    """Host, Origin and the head's size are judged before a socket is opened."""
    headers, status = REFUSED[what]
    case = LiveCase()
    async with case.running(), case.client() as client:
        wanted = {
            "connection": "upgrade",
            "upgrade": "websocket",
            "sec-websocket-version": "13",
            "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
        answer = await client.get(IN, headers={**wanted, **headers})
        assert answer.status_code == status


async def test_an_unknown_path_and_too_many_sockets_are_refused() -> None:
    """A socket at no path is 404; one too many is 503."""
    case = LiveCase()
    case.served.doors.sockets._sockets_max = 1
    async with case.running():
        with pytest.raises(InvalidStatus) as unknown:
            await case.socket("/nowhere").__aenter__()
        async with case.socket(IN):
            with pytest.raises(InvalidStatus) as full:
                await case.socket(IN).__aenter__()
    assert (unknown.value.response.status_code, full.value.response.status_code) == (404, 503)


async def test_a_message_beyond_all_bounds_ends_the_socket() -> None:
    """More than 2 MiB is no event of any client: 1009."""
    case = LiveCase()
    async with case.running(), case.prefect(IN) as socket:
        await socket.send("x" * ((2 << 20) + 1))
        assert (await closed(socket))[0] == 1009
