"""The outbound over real TLS: certificates are checked, redirects are not followed."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpcore
import pytest

from streams.gateway import outbound
from streams.gateway.outbound import HttpsOutbound, Unreachable
from streams.gateway.outbound_transport import PublicTransport
from streams.inbound import Unauthenticated
from tests.tls_case import certificate

pytestmark = pytest.mark.unit
HOST = "sns.eu-west-1.amazonaws.com"
CERT = f"https://{HOST}/SimpleNotificationService-0123456789abcdef.pem"


@dataclass
class Provider(httpcore.AnyIOBackend):
    """A TLS server on this machine, and the network that leads every name to it."""

    port: int = 0
    connected: list[tuple[str, int]] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Lead everybody to the server."""
        self.connected.append((host, port))
        return await super().connect_tcp("127.0.0.1", self.port, timeout, local_address, socket_options)


@asynccontextmanager
async def provider(pem: Path, answer: bytes, *, pause_s: float = 0.0) -> AsyncIterator[Provider]:
    """Serve one answer to everybody."""
    made = Provider()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                made.requests.append(await reader.readuntil(b"\r\n\r\n"))
                await asyncio.sleep(pause_s)
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await server.wait_closed()


def trusting(made: Provider, pem: Path | None) -> HttpsOutbound:
    """An outbound that trusts one certificate beside nobody's, or everybody's usual ones."""
    context = ssl.create_default_context(cafile=str(pem)) if pem else None
    return HttpsOutbound(transport=PublicTransport(ssl_context=context, network=made))


def answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    """An HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def test_a_key_comes_over_tls_under_the_name_that_was_asked_for(tmp_path: Path) -> None:
    """The provider is found by name at 443, its certificate fits, and its answer is the key."""
    pem = certificate(tmp_path, HOST)
    async with provider(pem, answer("200 OK", b"the key")) as made:
        ours = trusting(made, pem)
        assert await ours.get(CERT) == b"the key"
        await ours.close()
    assert made.connected == [(HOST, 443)]
    assert b"host: sns.eu-west-1.amazonaws.com\r\n" in made.requests[0].lower()
    assert b"cookie" not in made.requests[0].lower()


async def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    """A redirect to an allowed address, or to ourselves, costs one request on one connection."""
    pem = certificate(tmp_path, HOST)
    for target in ("https://www.googleapis.com/oauth2/v3/certs", "http://127.0.0.1:4288/events", CERT):
        async with provider(pem, answer("302 Found", b"key", f"location: {target}")) as made:
            ours = trusting(made, pem)
            with pytest.raises(Unauthenticated):
                await ours.get(CERT)
            await ours.close()
        assert (len(made.requests), made.connected) == (1, [(HOST, 443)])


async def test_a_certificate_of_another_name_is_refused(tmp_path: Path) -> None:
    """Trusted or not: a server that cannot show the name that was asked for gets no request."""
    pem = certificate(tmp_path, "evil.example")
    async with provider(pem, answer("200 OK", b"key")) as made:
        ours = trusting(made, pem)
        with pytest.raises(Unreachable):
            await ours.get(CERT)
        await ours.close()
    assert (made.requests, len(made.connected)) == ([], 1)


async def test_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    """A certificate for the right name that nobody vouches for is not believed."""
    pem = certificate(tmp_path, HOST)
    async with provider(pem, answer("200 OK", b"key")) as made:
        ours = trusting(made, None)
        with pytest.raises(Unreachable):
            await ours.get(CERT)
        await ours.close()
    assert made.requests == []


async def test_a_provider_that_is_silent_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that stays open without an answer ends with the time allowed."""
    monkeypatch.setattr(outbound, "TIMEOUT_S", 0.3)
    pem = certificate(tmp_path, HOST)
    async with provider(pem, answer("200 OK", b"key"), pause_s=3) as made:
        ours = trusting(made, pem)
        async with asyncio.timeout(3):
            with pytest.raises(Unreachable):
                await ours.get(CERT)
        await ours.close()
    assert len(made.requests) == 1


async def test_an_answer_that_is_no_http_is_refused(tmp_path: Path) -> None:
    """Nonsense from the provider is for later, as if it did not answer."""
    pem = certificate(tmp_path, HOST)
    for nonsense in (b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\nkey"):
        async with provider(pem, nonsense) as made:
            ours = trusting(made, pem)
            with pytest.raises(Unreachable):
                await ours.get(CERT)
            await ours.close()
        assert len(made.requests) == 1
