"""Good bodies: ids in order after the acknowledgement, the same ids on a retry, 503 when Kafka cannot."""

import asyncio
import json
from collections.abc import Sequence

import pytest

from schemas.shard import shard
from streams.errors import Overload, Transport
from streams.gateway.in_flight import InFlight
from streams.gateway.ports import Row
from tests.gateway_case import GatewayCase

pytestmark = pytest.mark.unit
ID = "01890a5d-ac96-774b-bcce-b302099a8057"
NDJSON = "application/x-ndjson"


def event(number: int, **fields: object) -> dict[str, object]:
    """A small event."""
    return {"event": "order.created", "resource": {"resource.id": f"order://{number}"}, **fields}


def lines(count: int) -> bytes:
    """NDJSON of small events."""
    return b"".join(json.dumps(event(number)).encode() + b"\r\n\n" for number in range(count))


async def test_an_event_becomes_a_record_with_its_fields() -> None:
    """Every posted field arrives in the record, ids in canonical form, the partition by resource id."""
    case = GatewayCase()
    body = event(
        1,
        id=ID.upper(),
        related=[{"prefect.resource.id": "flow://f", "prefect.resource.role": "flow"}],
        payload={"n": 12345678901234567890123, "ä": [1.5, None, True]},
        occurred="2026-01-31T13:00:00.123456+01:00",
        follows=ID,
        causation_id=ID,
        correlation_id=ID.replace("-", ""),
        depth=3,
    )
    answer = await case.post(json.dumps(body).encode())
    assert (answer.status_code, answer.json()) == (202, {"ids": [ID]})
    record = case.log.events()[0]
    assert (record.id, record.event, record.resource_id, record.depth) == (
        ID,
        "order.created",
        "order://1",
        3,
    )
    assert (record.follows, record.causation_id, record.correlation_id) == (ID, ID, ID)
    assert record.occurred == 1_769_860_800_123_456
    assert json.loads(record.related) == body["related"]
    assert json.loads(record.payload) == body["payload"]
    assert json.loads(record.resource) == body["resource"]
    topic, (partition, key, _) = case.log.rows[0]
    assert (topic, partition, key) == ("ensue.events", shard("order://1", 8), b"order://1")


async def test_ids_come_in_order_for_every_form() -> None:
    """One object, an array and NDJSON with empty lines give as many ids, in the order of their events."""
    for body, kind, count in (
        (json.dumps(event(0)).encode(), "application/json; charset=utf-8", 1),
        (json.dumps([event(0), event(1), event(2)]).encode(), "application/json", 3),
        (lines(5), NDJSON, 5),
    ):
        case = GatewayCase()
        answer = await case.post(body, kind)
        assert answer.status_code == 202
        assert answer.json()["ids"] == [record.id for record in case.log.events()]
        assert [record.resource_id for record in case.log.events()] == [f"order://{n}" for n in range(count)]
        assert all(record.correlation_id == record.id for record in case.log.events())


async def test_fresh_ids_are_version_7_and_differ() -> None:
    """Events without identity get distinct UUIDv7 of now."""
    ids = (await GatewayCase().post(lines(1000), NDJSON)).json()["ids"]
    assert len(set(ids)) == 1000
    assert all(len(text) == 36 and text[14] == "7" and text[19] in "89ab" for text in ids)


async def test_the_same_idempotency_key_gives_the_same_ids() -> None:
    """A repeat under one key has the same ids line by line; another key has others; own ids win."""
    case = GatewayCase()
    first = (await case.post(lines(3), NDJSON, idempotency_key="k1")).json()["ids"]
    again = (await case.post(lines(3), NDJSON, idempotency_key="k1")).json()["ids"]
    other = (await case.post(lines(3), NDJSON, idempotency_key="k2")).json()["ids"]
    own = await case.post(json.dumps(event(1, id=ID)).encode(), idempotency_key="k1")
    assert first == again
    assert not set(first) & set(other)
    assert all(text[14] == "8" for text in first)
    assert own.json()["ids"] == [ID]


async def test_a_failure_in_the_middle_gives_503_with_the_assigned_ids() -> None:
    """Two of five not acknowledged: 503, Retry-After, all ids; the repeat with them writes the same ids."""
    case = GatewayCase()
    case.log.failing = (3, 4)
    answer = await case.post(lines(5), NDJSON)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    problem = answer.json()
    assert "3 of 5" in problem["detail"]
    assert len(problem["ids"]) == 5
    repeat = [json.dumps(event(n, id=problem["ids"][n])).encode() for n in range(5)]
    assert (await case.post(b"\n".join(repeat), NDJSON)).json()["ids"] == problem["ids"]
    assert {record.id for record in case.log.events()} == set(problem["ids"])


async def test_a_failure_of_one_gathered_post_is_not_its_neighbours() -> None:
    """Single POSTs that travel together fail alone: three sent at once, the second not acknowledged."""
    case = GatewayCase()
    case.log.failing = (1,)
    answers = await asyncio.gather(*(case.post(json.dumps(event(n)).encode()) for n in range(3)))
    assert sorted(answer.status_code for answer in answers) == [202, 202, 503]
    accepted = {answer.json()["ids"][0] for answer in answers if answer.status_code == 202}
    assert {record.id for record in case.log.events()} == accepted


@pytest.mark.parametrize("error", [Overload("full", retry_after_s=3), Transport("the broker is away")])
async def test_a_log_that_cannot_is_503(error: Exception) -> None:
    """Overload and an unknown outcome are 503 with Retry-After and the ids."""
    case = GatewayCase()
    case.log.error = error  # type: ignore[assignment]
    answer = await case.post(lines(2), NDJSON)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == ("3" if isinstance(error, Overload) else "1")
    assert len(answer.json()["ids"]) == 2


class SilentLog:
    """Takes rows and never answers."""

    async def append(self, _topic: str, _rows: Sequence[Row]) -> Sequence[int]:
        await asyncio.Event().wait()
        return ()


async def test_no_acknowledgement_in_time_is_503() -> None:
    """A broker that stays silent ends in 503 after the time-out, for one event and for many."""
    case = GatewayCase(ack_timeout_s=0.05)
    case.served.intake._log._log = SilentLog()  # type: ignore[assignment]
    for count in (1, 100):
        answer = await case.post(lines(count), NDJSON)
        assert (answer.status_code, len(answer.json()["ids"])) == (503, count)
    assert (case.served.in_flight.bytes, case.served.in_flight.requests) == (0, 0)


async def test_nobody_waits_twice_for_a_silent_broker() -> None:
    """Many posts in turn behind a silent broker: each is answered within the one time-out."""
    case = GatewayCase(ack_timeout_s=1.0)
    case.served.intake._log._log = SilentLog()  # type: ignore[assignment]
    loop = asyncio.get_running_loop()

    async def post() -> float:
        began_s = loop.time()
        assert (await case.post(lines(1), NDJSON)).status_code == 503
        return loop.time() - began_s

    posts = []
    for _ in range(12):
        posts.append(asyncio.create_task(post()))
        await asyncio.sleep(0.01)
    assert max(await asyncio.gather(*posts)) < 1.9  # waiting twice would take 2 s


async def test_too_much_at_once_is_refused_at_once() -> None:
    """When bytes or requests in flight are at their bound, the next body gets 503."""
    case = GatewayCase()
    held = case.served.in_flight.share()
    held.take(case.served.in_flight.bytes_max)
    answer = await case.post(lines(1), NDJSON)
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:ensue:overload")
    held.leave()
    case.served.in_flight.requests_max = 0
    assert (await case.post(lines(1), NDJSON)).status_code == 503
    assert case.log.rows == []


def test_a_bound_on_bytes_is_no_ban() -> None:
    """A body larger than the bound passes while nobody else holds any."""
    in_flight = InFlight(bytes_max=10)
    share = in_flight.share()
    share.take(11)
    with pytest.raises(Overload):
        in_flight.share().take(1)
    share.leave()
    assert in_flight.bytes == 0


async def test_ready_at_start_means_that_the_canary_is_in_sql() -> None:
    """Live at once; not ready until the canary is visible; then ready, and not when the sink lags too far."""
    case = GatewayCase()
    case.view.shown = False
    assert (await case.request("GET", "/health/live")).status_code == 200
    assert (await case.request("GET", "/health/ready")).status_code == 503
    starting = asyncio.create_task(case.served.readiness.start())
    await asyncio.sleep(0.05)
    case.served.readiness._checked_s = 0
    answer = await case.request("GET", "/health/ready")
    assert answer.status_code == 503
    assert "not visible in SQL yet" in answer.json()["reasons"][0]
    case.view.shown = True
    await asyncio.wait_for(starting, 5)
    assert (await case.request("GET", "/health/ready")).status_code == 200
    canary = case.log.events()[0]
    assert canary.event == "ensue.gateway.started"
    assert canary.resource_id.startswith("ensue://gateway/")
    assert {record.id for record in case.log.events()} == {canary.id}
    for lag, error, reason in ((0.51, None, "51%"), (0.0, Transport("away"), "does not acknowledge")):
        case.view.lag, case.log.error, case.served.readiness._checked_s = lag, error, float("-inf")
        answer = await case.request("GET", "/health/ready")
        assert answer.status_code == 503
        assert reason in answer.json()["reasons"][0]


async def test_metrics_count_what_came_in() -> None:
    """GET /metrics tells accepted events and answers by status."""
    case = GatewayCase()
    await case.post(lines(3), NDJSON)
    await case.post(b"{")
    text = (await case.request("GET", "/metrics")).text
    assert "ensue_gateway_events_accepted_total 3\n" in text
    assert 'ensue_gateway_requests_total{route="/events",status="400"} 1\n' in text
