"""One webhook delivered many times at once is one event: by its provider's id, through the whole system."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from pathlib import Path

import httpx
import pytest

from tests.connected.system import System

pytestmark = [pytest.mark.connected, pytest.mark.timeout(300)]
TIMES, AT_ONCE = 10, 8
SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes, ok").decode()
SOURCES = {
    "hub": {"kind": "github", "secrets": ["an old one", SECRET]},
    "std": {"kind": "standard-webhooks", "secrets": [SECRET]},
}
ROWS = "SELECT count() FROM ensue.events WHERE source IN ('hub', 'std')"


def delivery(number: int) -> tuple[str, dict[str, str], bytes]:
    """Path, headers and body of one delivery; even numbers are GitHub's."""
    body = json.dumps({"type": "order.paid", "number": number, "repository": {"full_name": "a/b"}}).encode()
    plain = {"content-type": "application/json"}
    if number % 2 == 0:
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        own = {
            "x-github-event": "push",
            "x-github-delivery": f"72d3162e-cc78-11e3-81ab-{number:012x}",
            "x-hub-signature-256": f"sha256={signature}",
        }
        return "/hooks/hub", {**plain, **own}, body
    at = str(int(time.time()))
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = hmac.new(key, b".".join([f"msg_{number}".encode(), at.encode(), body]), hashlib.sha256).digest()
    own = {
        "webhook-id": f"msg_{number}",
        "webhook-timestamp": at,
        "webhook-signature": "v1," + base64.b64encode(signed).decode(),
    }
    return "/hooks/std", {**plain, **own}, body


async def deliver(url: str, count: int) -> list[list[httpx.Response]]:
    """Deliver `count` webhooks ten times each at once, some webhooks beside each other."""
    limits = httpx.Limits(max_connections=TIMES * AT_ONCE)
    places = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(base_url=url, timeout=30, limits=limits) as client:

        async def one(number: int) -> list[httpx.Response]:
            async with places:
                path, headers, body = delivery(number)
                sent = [client.post(path, content=body, headers=headers) for _ in range(TIMES)]
                return list(await asyncio.gather(*sent))

        return list(await asyncio.gather(*map(one, range(count))))


@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.soak)])
def test_ten_parallel_deliveries_are_one_row(tmp_path: Path, count: int) -> None:
    """Each webhook ten times at once: all answers are 202, and there are as many ids and rows as webhooks."""
    with System(tmp_path, env={"ENSUE_SOURCES": json.dumps(SOURCES)}) as system:
        began_s = time.monotonic()
        answers = asyncio.run(deliver(system.instance.api_url, count))
        took_s = time.monotonic() - began_s
        assert {answer.status_code for tried in answers for answer in tried} == {202}
        told = [{tuple(answer.json()["ids"]) for answer in tried} for tried in answers]
        assert all(len(ids) == 1 for ids in told)
        ids = {found for tried in told for (found,) in tried}
        assert len(ids) == count
        print(f"{count * TIMES} deliveries in {took_s:.1f} s")

        assert system.wait_count(ROWS, count) == count
        time.sleep(3)  # whatever came twice would be here by now
        exact = ROWS.replace("count()", "uniqExact(id)")
        assert (system.count(ROWS), system.count(exact)) == (count, count)
        rows = system.sql(ROWS.replace("count()", "toString(id) AS id"))
        assert {row["id"] for row in rows} == ids
        assert system.count("SELECT count() FROM ensue.dead_letters") == 0
