"""No body makes the gateway call anybody but a provider over TLS: every attempt to connect is counted."""

import asyncio
import base64
import json
import socket
from typing import Any

import pytest

from streams.gateway.outbound import HttpsOutbound
from streams.gateway.outbound_place import Place
from streams.inbound import Call, Delivery, KeyMissing, Keys, Outcome, Reply
from streams.sources.http_source import HttpSource
from streams.sources.kinds import KINDS
from streams.sources.trust import Trust
from tests.gateway_case import GatewayCase
from tests.hostile_case import BODIES, EVIL, SNS_CERT, Anybody, doors
from tests.wire import pairs, send

pytestmark = pytest.mark.unit
PROVIDERS = {"www.googleapis.com", "login.microsoftonline.com", "sns.eu-west-1.amazonaws.com"}


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Every attempt to find or reach somebody, none of which succeeds."""
    made: list[tuple[str, Any]] = []

    def refuse(*place: Any, **_: Any) -> Any:
        made.append(("socket", place[-1]))
        raise OSError("nobody is there")

    def refuse_name(host: Any, port: Any = None, *_: Any, **__: Any) -> Any:
        made.append((_text(host), port))
        raise socket.gaierror("nobody is there")

    async def refuse_later(_loop: Any, *place: Any, **named: Any) -> Any:
        host, port = (*place, named.get("host"), named.get("port"))[-2:] if len(place) < 2 else place[-2:]
        made.append((_text(host), port))
        raise OSError("nobody is there")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        monkeypatch.setattr(socket, name, refuse_name)
    monkeypatch.setattr(socket, "create_connection", refuse)
    for base in asyncio.SelectorEventLoop.__mro__:
        for name in ("create_connection", "getaddrinfo", "sock_connect", "create_datagram_endpoint"):
            if name in vars(base):
                monkeypatch.setattr(base, name, refuse_later)
    return made


def _text(host: Any) -> str:
    return host.decode() if isinstance(host, bytes) else str(host)


def token(header: dict[str, object], claims: dict[str, object]) -> str:
    """A JSON Web Token that names its own key, signed by nobody."""
    parts = [json.dumps(header), json.dumps(claims), "signature"]
    return ".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts)


CLAIMS: dict[str, object] = {
    "iss": "https://accounts.google.com",
    "aud": "https://ensue.example/hooks/x",
    "email": "push@project.iam.gserviceaccount.com",
    "email_verified": True,
    "exp": 9_999_999_999,
    "iat": 1,
}
HEADERS: dict[str, dict[str, str]] = {
    "plain": {},
    "jku and x5u": {
        "authorization": "Bearer " + token({"alg": "RS256", "kid": "1", "jku": EVIL, "x5u": EVIL}, CLAIMS)
    },
    "a foreign issuer": {
        "authorization": "Bearer " + token({"alg": "RS256", "kid": "1"}, {**CLAIMS, "iss": EVIL})
    },
    "callback": {
        "webhook-request-origin": "eventgrid.azure.net",
        "webhook-request-callback": EVIL,
        "webhook-request-rate": "100",
    },
    "sns": {"x-amz-sns-message-type": "SubscriptionConfirmation"},
    "event grid": {"aeg-event-type": "SubscriptionValidation", "aeg-subscription-name": "X"},
    "cloud event": {
        "ce-specversion": "1.0",
        "ce-id": "1",
        "ce-type": "t",
        "ce-source": EVIL,
        "ce-dataschema": EVIL,
    },
    "forwarded": {"x-forwarded-host": "evil.example", "link": f'<{EVIL}>; rel="preconnect"', "referer": EVIL},
}


@pytest.mark.parametrize("kind", KINDS)
async def test_no_body_makes_the_door_call_a_stranger(kind: str, attempts: list[tuple[str, Any]]) -> None:
    """Whatever addresses a body or its headers name, believed or not: providers over TLS or nobody."""
    outbound = HttpsOutbound()
    hooks = doors(kind)
    app = GatewayCase(hooks=hooks, outbound=outbound).served.app
    statuses = set()
    for door in hooks:
        for extra in HEADERS.values():
            headers = pairs({"content-type": "application/json", **extra})
            for body in (*BODIES.values(), b"", b"{"):
                statuses.add((await send(app, "POST", f"/hooks/{door}", headers, body)).status)
            for method in ("OPTIONS", "GET", "HEAD", "PUT"):
                query = b"challenge=x&url=" + EVIL.encode()
                statuses.add((await send(app, method, f"/hooks/{door}", headers, query=query)).status)
    await outbound.close()
    strangers = [place for place in attempts if place[0] not in PROVIDERS or place[1] not in {443, "443"}]
    assert strangers == []
    assert all(status < 500 or status == 503 for status in statuses), statuses


class Naive:
    """A form that does what a body says."""

    def read(self, delivery: Delivery, source: str) -> Outcome:
        """Call back."""
        return Call(url=json.loads(delivery.body)["SubscribeURL"], reply=Reply())


class NaiveScheme:
    """A scheme that takes the key from where the sender says it lies."""

    def verify(self, delivery: Delivery, trust: Trust, keys: Keys) -> None:
        """Ask for the key."""
        if keys.get(EVIL) is None:
            raise KeyMissing(EVIL)


@pytest.mark.parametrize("scheme", [Anybody(), NaiveScheme()])
async def test_even_a_source_that_believes_addresses_calls_nobody(
    scheme: Anybody, attempts: list[tuple[str, Any]]
) -> None:
    """The list of addresses holds behind a source that forgets to look: 401 or a dead letter, no call."""
    source = HttpSource(name="naive", form=Naive(), scheme=scheme)
    outbound = HttpsOutbound()
    case = GatewayCase(hooks={"naive": source}, outbound=outbound)
    answer = await case.request("POST", "/hooks/naive", BODIES["sns confirmation"])
    await outbound.close()
    assert answer.status_code == (202 if isinstance(scheme, Anybody) else 401)
    assert len(case.log.dead_letters()) == isinstance(scheme, Anybody)
    assert attempts == []


async def test_the_count_sees_a_call_when_nothing_holds_it_back(attempts: list[tuple[str, Any]]) -> None:
    """With every address allowed the same body does call the stranger: the count would show it."""
    anywhere = (Place(host=".*", path=".*", query=".*"),)
    outbound = HttpsOutbound(keys=anywhere, confirmations=anywhere)
    case = GatewayCase(hooks={"naive": HttpSource(name="naive", form=Naive())}, outbound=outbound)
    headers = {"content-type": "application/json"}
    answer = await case.request("POST", "/hooks/naive", BODIES["sns confirmation"], headers)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert attempts == [("evil.example", 443)]
    attempts.clear()
    await outbound.close()


async def test_the_count_sees_a_provider_that_is_asked(attempts: list[tuple[str, Any]]) -> None:
    """An allowed key is looked for at its host, over the port of TLS, and its absence is 503."""

    class Cert(NaiveScheme):
        def verify(self, delivery: Delivery, trust: Trust, keys: Keys) -> None:
            raise KeyMissing(SNS_CERT)

    outbound = HttpsOutbound()
    source = HttpSource(name="naive", form=Naive(), scheme=Cert())
    answer = await GatewayCase(hooks={"naive": source}, outbound=outbound).request("POST", "/hooks/naive")
    await outbound.close()
    assert answer.status_code == 503
    assert "amazonaws" not in answer.text
    assert attempts == [("sns.eu-west-1.amazonaws.com", 443)]
