"""Connections to the internet only: a name that leads into our own network is not followed there."""

import asyncio
import socket
import ssl
from collections.abc import Iterable
from ipaddress import ip_address

import httpcore
import httpx

_CONNECTIONS_MAX = 8


class PublicAddresses(httpcore.AnyIOBackend):
    """Resolves once and connects to the address it judged, so that a second answer cannot be another one."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect; raises ConnectError when the name leads anywhere that is not public."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            raise httpcore.ConnectError("the name is not known") from None
        addresses = [str(place[4][0]) for place in found]
        if not addresses or not all(ip_address(address).is_global for address in addresses):
            raise httpcore.ConnectError("the name leads to an address that is not public")
        return await super().connect_tcp(addresses[0], port, timeout, local_address, socket_options)


class PublicTransport(httpx.AsyncHTTPTransport):
    """httpx over TLS with a network of our choice; certificates are checked against the name, as ever."""

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        network: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        """Make the pool; httpx offers no argument for its network."""
        context = ssl_context or httpx.create_ssl_context(trust_env=False)
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=_CONNECTIONS_MAX,
            keepalive_expiry=5.0,
            network_backend=network or PublicAddresses(),
        )
