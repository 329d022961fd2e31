"""Abuse protection (HTTP webhooks v1.0.2, section 4): who may register, at /events and at /hooks/NAME."""

import httpx
import pytest

from streams.sources.cloudevents.body import CloudEventsBody
from streams.sources.kinds import hook_source
from streams.sources.trust import Trust
from tests.gateway_case import GatewayCase

pytestmark = pytest.mark.unit
ORIGIN = "eventemitter.example.com"
GRANTS = {"webhook-allowed-origin", "webhook-allowed-rate"}


class Counting:
    """An outbound that counts what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def get(self, url: str) -> bytes:
        """Count."""
        self.asked.append(url)
        return b""

    async def confirm(self, url: str) -> None:
        """Count."""
        self.asked.append(url)


def case(*origins: str, outbound: Counting | None = None) -> GatewayCase:
    """A gateway where these origins may register; the hook has a secret, which a handshake does not need."""
    trust = Trust(secrets=(b"secret",), allowed_origins=origins)
    return GatewayCase(
        form=CloudEventsBody(origins),
        hooks={"ce": hook_source("cloudevents", "ce", lambda: trust)},
        outbound=outbound,
    )


async def ask(gateway: GatewayCase, path: str, **headers: str) -> httpx.Response:
    """Send the validation request; header names with _ for -."""
    named = {f"webhook-request-{name}": value for name, value in headers.items()}
    return await gateway.request("OPTIONS", path, None, named)


@pytest.mark.parametrize("path", ["/events", "/hooks/ce"])
async def test_a_listed_origin_may_send(path: str) -> None:
    """4.2: origin echoed, the asked rate granted (MUST when asked for), Allow names POST."""
    for origins in ((ORIGIN,), ("other.example", ORIGIN.upper()), ("*",)):
        answer = await ask(case(*origins), path, origin=ORIGIN, rate="120")
        assert answer.status_code == 200
        assert answer.headers["webhook-allowed-origin"] == ORIGIN
        assert answer.headers["webhook-allowed-rate"] == "120"
        assert "POST" in answer.headers["allow"]
    answer = await ask(case("*"), path, origin=ORIGIN)
    assert answer.headers["webhook-allowed-rate"] == "*"


@pytest.mark.parametrize("path", ["/events", "/hooks/ce"])
async def test_nobody_else_may_send(path: str) -> None:
    """4.2: without consent none of its headers is there; with no list at all it is 405."""
    for origins, headers, status in (
        ((), {"origin": ORIGIN}, 405),
        (("other.example",), {"origin": ORIGIN}, 403),
        (("*",), {"origin": "not a name"}, 400),
        (("*",), {"origin": ""}, 400),
        (("*",), {"origin": ORIGIN, "rate": "0"}, 400),
        (("*",), {"origin": ORIGIN, "rate": "-1"}, 400),
        (("*",), {"origin": ORIGIN, "rate": "1.5"}, 400),
        (("*",), {"origin": ORIGIN, "rate": "many"}, 400),
    ):
        answer = await ask(case(*origins), path, **headers)
        assert (answer.status_code, GRANTS & answer.headers.keys()) == (status, set()), headers
    twice = [("webhook-request-origin", ORIGIN)] * 2
    answer = await case("*").request("OPTIONS", path, None, twice)
    assert (answer.status_code, GRANTS & answer.headers.keys()) == (400, set())


async def test_options_without_the_header_grants_nothing() -> None:
    """4.1.2: the origin MUST be there."""
    answer = await case("*").request("OPTIONS", "/events")
    assert (answer.status_code, GRANTS & answer.headers.keys()) == (400, set())


async def test_the_callback_is_never_called() -> None:
    """4.1.3: permission is given at once or not at all; nothing goes out, and nothing is written."""
    outbound = Counting()
    for origins in (("*",), ("other.example",), ()):
        gateway = case(*origins, outbound=outbound)
        for path in ("/events", "/hooks/ce"):
            await ask(gateway, path, origin=ORIGIN, callback="https://emitter.example/confirm?key=1")
        assert gateway.log.rows == []
    assert outbound.asked == []


async def test_a_gateway_without_cloud_events_answers_405() -> None:
    """OPTIONS /events is then a wrong method like any other."""
    answer = await GatewayCase().request("OPTIONS", "/events", None, {"webhook-request-origin": ORIGIN})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
