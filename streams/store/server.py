"""The `store` process: owns the chDB folder and speaks ClickHouse's HTTP protocol on loopback."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn

from streams.errors import BadInput
from streams.store.endpoint import Endpoint
from streams.store.engine import Engine
from streams.store.folder import writer_secret
from streams.store.statements import Statements

_KEEP_ALIVE_S = 75
_CONNECTIONS_MAX = 512


async def serve(
    data: Path,
    host: str = "127.0.0.1",
    port: int = 4289,
    *,
    database: str = "ensue",
    allowed_hosts: Sequence[str] = (),
    on_ready: Callable[[int], None] | None = None,
) -> None:
    """Serve the store of the data folder `data` until SIGTERM or cancellation.

    Args:
        data: the installation's data folder; the store's own lies in `data/store`.
        host: address to listen on; loopback unless the machine is trusted whole.
        port: 0 chooses a free one.
        database: the only database there is.
        allowed_hosts: Host names accepted beside loopback's.
        on_ready: called with the port once statements are answered.

    Raises:
        BadInput: another process owns the folder, or the port is taken.

    """
    listener = _listen(host, port)
    folder = data / "store"
    secret = writer_secret(folder)
    engine = await asyncio.to_thread(Engine, folder, database)
    try:
        statements = await asyncio.to_thread(Statements, engine)
        config = uvicorn.Config(
            Endpoint(statements, secret, allowed_hosts).app(),
            log_level="warning",
            access_log=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            limit_concurrency=_CONNECTIONS_MAX,
            timeout_graceful_shutdown=10,
            lifespan="off",
        )
        server = _Server(config, lambda: on_ready and on_ready(listener.getsockname()[1]))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            server.should_exit = True
            with contextlib.suppress(asyncio.CancelledError):
                await serving
            raise
    finally:
        await asyncio.to_thread(engine.close)
        listener.close()


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], object]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, then say so."""
        await super().startup(sockets)
        self._on_started()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise BadInput(
            f"The store cannot listen on {host}:{port} ({error.strerror}); choose another with --store-port."
        ) from error
    return listener
