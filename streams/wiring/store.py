"""The embedded store as a part."""

import asyncio
import signal

import uvloop

from streams.local.notice import announce_ready
from streams.settings import Settings
from streams.store.server import serve


def run(settings: Settings) -> None:
    """Serve ClickHouse's protocol until SIGTERM."""

    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        await serve(
            settings.data,
            settings.host,
            settings.store_port,
            database=settings.clickhouse.database,
            allowed_hosts=settings.allowed_hosts,
            on_ready=lambda port: announce_ready(settings.data, "store", port=port),
        )

    try:
        uvloop.run(main())
    except asyncio.CancelledError:
        return
