"""What the gateway asks for on the internet: known addresses over TLS, bounded, and nothing else."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

import httpcore
import httpx
import pytest

from streams.errors import Poison
from streams.gateway import outbound
from streams.gateway.outbound import FetchedKeys, HttpsOutbound, NoOutbound, Unreachable
from streams.gateway.outbound_transport import PublicAddresses
from streams.inbound import Unauthenticated

pytestmark = pytest.mark.unit
CERT = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
CONFIRM = (
    "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:x:1:t&Token=a1"
)
GOOGLE = "https://www.googleapis.com/oauth2/v3/certs"
ENTRA = "https://login.microsoftonline.com/common/discovery/v2.0/keys"
SNS = "sns.eu-west-1.amazonaws.com"
PEM = "/SimpleNotificationService-0123456789abcdef.pem"

ALLOWED = (
    CERT,
    CONFIRM,
    GOOGLE,
    ENTRA,
    f"https://{SNS}:443{PEM}",
    f"HTTPS://SNS.EU-WEST-1.AMAZONAWS.COM{PEM}",
    f"https://sns.cn-north-1.amazonaws.com.cn{PEM}",
    f"https://sns.us-gov-west-1.amazonaws.com{PEM}",
    f"https://sns.ap-southeast-3.amazonaws.com{PEM}",
    "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/discovery/keys",
)
REFUSED = {
    "no TLS": f"http://{SNS}{PEM}",
    "another scheme": f"ftp://{SNS}{PEM}",
    "a file": "file:///etc/passwd",
    "no scheme": f"//{SNS}{PEM}",
    "nothing": "",
    "no host": f"https://{PEM}",
    "one slash": f"https:/{SNS}{PEM}",
    "another port": f"https://{SNS}:8443{PEM}",
    "the port of plain HTTP": f"https://{SNS}:80{PEM}",
    "a port that is none": f"https://{SNS}:x{PEM}",
    "a port beyond all": f"https://{SNS}:99999{PEM}",
    "a user": f"https://{SNS}@evil.example{PEM}",
    "a user and a password": f"https://u:p@{SNS}{PEM}",
    "an empty user": f"https://@{SNS}{PEM}",
    "a backslash before a user": f"https://{SNS}\\@evil.example{PEM}",
    "a backslash after another host": f"https://evil.example\\{SNS}{PEM}",
    "a trailing dot": f"https://{SNS}.{PEM}",
    "a longer host": f"https://{SNS}.evil.example{PEM}",
    "a longer host without a dot": f"https://evil{SNS}{PEM}",
    "a host before": f"https://evil.example/{SNS}{PEM}",
    "a host in the query": f"https://evil.example/?{SNS}{PEM}",
    "a bucket named sns": f"https://sns.s3.amazonaws.com{PEM}",
    "a bucket named sns, regional": f"https://sns.s3-us-west-2.amazonaws.com{PEM}",
    "a region that is none": f"https://sns.evil.amazonaws.com{PEM}",
    "two labels for a region": f"https://sns.eu-west-1.evil.amazonaws.com{PEM}",
    "another service": f"https://sqs.eu-west-1.amazonaws.com{PEM}",
    "an address in digits": f"https://93.184.216.34{PEM}",
    "loopback": f"https://127.0.0.1{PEM}",
    "the metadata address": "https://169.254.169.254/latest/meta-data/",
    "the metadata address as a number": "https://2852039166/latest/meta-data/",
    "IPv6": f"https://[::1]{PEM}",
    "IPv6 mapped": f"https://[::ffff:169.254.169.254]{PEM}",
    "letters of another alphabet": f"https://s\u043fs.eu-west-1.amazonaws.com{PEM}",
    "a full-width dot": f"https://sns\uff0eeu-west-1.amazonaws.com{PEM}",
    "an ideographic dot": f"https://sns\u3002eu-west-1.amazonaws.com{PEM}",
    "punycode": f"https://xn--ss-9kc.eu-west-1.amazonaws.com{PEM}",
    "an escaped host": f"https://%73ns.eu-west-1.amazonaws.com{PEM}",
    "a line break": f"https://sns.eu-west-1.amazonaws.com\r\nHost: evil.example{PEM}",
    "a tab in the host": f"https://sns.eu-\twest-1.amazonaws.com{PEM}",
    "a space before": f" https://{SNS}{PEM}",
    "a zero byte": f"https://{SNS}\x00.evil.example{PEM}",
    "another file": f"https://{SNS}/evil.pem",
    "a path above": f"https://{SNS}/../../etc/passwd",
    "an escaped slash": f"https://{SNS}/..%2fSimpleNotificationService-a.pem",
    "a query at a certificate": f"{CERT}?x=1",
    "a fragment": f"{CERT}#x",
    "another action": f"https://{SNS}/?Action=DeleteTopic&TopicArn=x",
    "two actions": f"https://{SNS}/?Action=ConfirmSubscription&Action=DeleteTopic&Token=a",
    "a bucket of Google's host": "https://www.googleapis.com/storage/v1/b/evil/o/certs?alt=media",
    "keys in a bucket of Google's host": "https://www.googleapis.com/evil/oauth2/v3/certs",
    "a tenant that is a path": "https://login.microsoftonline.com/a/b/discovery/v2.0/keys",
    "far too long": CONFIRM + "a" * 4000,
}

Answers = Callable[[httpx.Request], httpx.Response]


def over(answers: Answers) -> tuple[HttpsOutbound, list[str]]:
    """An outbound whose network is `answers`, and what was asked."""
    asked: list[str] = []

    def noted(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return answers(request)

    return HttpsOutbound(transport=httpx.MockTransport(noted)), asked


def test_known_addresses_may_be_asked_for() -> None:
    """Certificates, key sets and confirmations of the three providers, in every region and spelling."""
    ours = HttpsOutbound()
    assert [url for url in ALLOWED if not ours.allows(url)] == []


@pytest.mark.parametrize("name", REFUSED)
async def test_every_other_address_is_refused_unasked(name: str) -> None:
    """A key there is no key (401), a confirmation there is unusable; no request is made for either."""
    ours, asked = over(lambda _: httpx.Response(200, content=b"key"))
    assert not ours.allows(REFUSED[name])
    with pytest.raises(Unauthenticated):
        await ours.get(REFUSED[name])
    with pytest.raises(Poison):
        await ours.confirm(REFUSED[name])
    assert asked == []


async def test_keys_and_confirmations_are_not_mixed_up() -> None:
    """A certificate's address confirms nothing, and a confirmation holds no key."""
    ours, asked = over(lambda _: httpx.Response(200, content=b"key"))
    with pytest.raises(Unauthenticated):
        await ours.get(CONFIRM)
    with pytest.raises(Poison):
        await ours.confirm(CERT)
    assert asked == []
    assert await ours.get(CERT) == b"key"
    await ours.confirm(CONFIRM)
    assert asked == [CERT, CONFIRM]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    """Wherever a redirect leads, one request is made and its answer is no key."""
    ours, asked = over(lambda _: httpx.Response(status, headers={"location": GOOGLE}, content=b"key"))
    with pytest.raises(Unauthenticated):
        await ours.get(CERT)
    with pytest.raises(Poison):
        await ours.confirm(CONFIRM)
    assert asked == [CERT, CONFIRM]


async def test_a_refusal_is_remembered_and_a_failure_asks_to_come_again() -> None:
    """404 is no proof (401), 500 and 429 are for later (503); the same address is not asked twice at once."""
    for status, error in (
        (404, Unauthenticated),
        (403, Unauthenticated),
        (500, Unreachable),
        (429, Unreachable),
    ):
        ours, asked = over(lambda _, status=status: httpx.Response(status))
        for _ in range(5):
            with pytest.raises(error):
                await ours.get(CERT)
        assert asked == [CERT]


async def test_a_large_answer_is_not_read_to_its_end() -> None:
    """An endless answer is cut off soon after the bound."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65536
            yield b"x" * 65536

    ours, _ = over(lambda _: httpx.Response(200, content=endless()))
    with pytest.raises(Unauthenticated):
        await ours.get(CERT)
    assert sent <= outbound.ANSWER_BYTES_MAX + 2 * 65536


async def test_a_packed_answer_is_refused() -> None:
    """We ask for plain bytes; what comes packed is not unpacked."""
    seen: list[str] = []

    def packed(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["accept-encoding"])
        return httpx.Response(200, headers={"content-encoding": "br"}, content=b"x")

    ours, _ = over(packed)
    with pytest.raises(Unauthenticated):
        await ours.get(CERT)
    assert seen == ["identity"]


async def test_a_slow_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then does not hold a delivery for longer than the time allowed."""
    monkeypatch.setattr(outbound, "TIMEOUT_S", 0.1)

    async def dripping() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.02)

    ours, _ = over(lambda _: httpx.Response(200, content=dripping()))
    async with asyncio.timeout(5):
        with pytest.raises(Unreachable):
            await ours.get(CERT)


async def test_whoever_wants_the_same_key_waits_for_one_request() -> None:
    """100 deliveries at once ask once; one that hangs up takes nobody along."""
    going = asyncio.Event()

    async def later() -> AsyncIterator[bytes]:
        await going.wait()
        yield b"key"

    ours, asked = over(lambda _: httpx.Response(200, content=later()))
    waiting = [asyncio.create_task(ours.get(CERT)) for _ in range(100)]
    await asyncio.sleep(0.01)
    waiting[0].cancel()
    going.set()
    assert await asyncio.gather(*waiting[1:]) == [b"key"] * 99
    assert asked == [CERT]
    await ours.close()


async def test_senders_cannot_make_us_ask_without_end() -> None:
    """Of 200 deliveries that name 200 certificates at most 30 are asked for within a minute."""
    ours, asked = over(lambda _: httpx.Response(404))
    refused = 0
    for number in range(200):
        try:
            await ours.get(CERT.replace("0123456789abcdef", f"{number:016x}"))
        except Unreachable:
            refused += 1
        except Unauthenticated:
            pass
    assert (len(asked), refused) == (30, 170)


async def test_no_message_holds_the_token_of_a_confirmation() -> None:
    """What is raised names host and path only: the query of a confirmation is a secret."""
    for status in (302, 404, 500):
        ours, _ = over(lambda _, status=status: httpx.Response(status))
        with pytest.raises((Poison, Unreachable)) as raised:
            await ours.confirm(CONFIRM.replace("Token=a1", "Token=canary1"))
        assert "canary1" not in str(raised.value)
        assert SNS in str(raised.value)


async def test_a_fetched_key_is_kept_for_an_hour() -> None:
    """Keys go after an hour, and the oldest of too many makes room."""
    keys = FetchedKeys()
    for number in range(100):
        keys.keep(f"https://k/{number}", b"key")
    assert keys.get("https://k/0") is None
    assert keys.get("https://k/99") == b"key"
    loop = asyncio.get_running_loop()
    now_s = loop.time()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "time", lambda: now_s + 3601)
        assert keys.get("https://k/99") is None


async def test_without_an_outbound_nothing_is_asked() -> None:
    """The default refuses keys and confirmations alike."""
    with pytest.raises(Unauthenticated):
        await NoOutbound().get(CERT)
    with pytest.raises(Poison):
        await NoOutbound().confirm(CONFIRM)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "100.64.0.1", "::1", "fd00::1", "0.0.0.0"],
)
async def test_a_name_that_leads_inside_is_not_followed(
    address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When an allowed name leads to an address that is not public, nothing is connected to."""
    loop = asyncio.get_running_loop()
    connected: list[object] = []

    async def resolved(*_: object, **__: object) -> list[object]:
        return [(2, 1, 6, "", ("8.8.8.8", 443)), (2, 1, 6, "", (address, 443))]

    async def connect(*place: object, **_: object) -> None:
        connected.append(place)

    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(loop, "getaddrinfo", resolved)
    monkeypatch.setattr(loop, "create_connection", connect)
    with pytest.raises(httpcore.ConnectError):
        await PublicAddresses().connect_tcp(SNS, 443)
    ours = HttpsOutbound()
    with pytest.raises(Unreachable):
        await ours.get(CERT)
    await ours.close()
    assert connected == []
