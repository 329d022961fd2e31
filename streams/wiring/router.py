"""The router as a part."""

import asyncio
import logging
import os
import signal
import sys

import uvloop

from streams.local.notice import announce_ready
from streams.router.partition import RouterLimits
from streams.router.router import Router, RouterOptions
from streams.settings import Settings
from streams.store.queries.known import KnownEvents
from streams.store.queries.reader import StoreReader
from streams.wiring.common import app_name, started_codec, topics_of
from streams.wiring.definitions import follow_definitions

EXIT_STUCK = 70
STUCK_AFTER_S = 60.0
_LOOK_EVERY_S = 0.1
_log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Route until SIGTERM."""
    codec = started_codec(settings)
    follower, definitions = follow_definitions(settings, codec)
    store = StoreReader(settings.clickhouse)
    names = topics_of(settings)

    async def main() -> None:
        router = Router(
            settings.kafka,
            names,
            codec,
            definitions=definitions,
            known_events=KnownEvents(store, names.events.name),
            options=RouterOptions(
                app=app_name(settings), limits=RouterLimits(ids_max=settings.dedupe_ids_max)
            ),
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, router.stop)
        routing = asyncio.create_task(router.run())
        watching = asyncio.create_task(watch(router, settings))
        await asyncio.wait({routing, watching}, return_when=asyncio.FIRST_COMPLETED)
        watching.cancel()
        router.stop()
        await routing
        if not watching.cancelled() and watching.done():
            watching.result()

    try:
        uvloop.run(main())
    finally:
        follower.close()
        store.close()


async def watch(router: Router, settings: Settings) -> None:
    """Announce readiness once partitions are routed; end the process when one is stuck for no reason."""
    announced = False
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        health = router.health()
        if not announced and health and all(one.state == "routing" for one in health):
            announced = True
            announce_ready(settings.data, "router", partitions=[one.partition for one in health])
        stuck = router.stuck(STUCK_AFTER_S)
        if stuck:
            _log.critical(
                "no progress for %g s in %s; the process ends and is started again", STUCK_AFTER_S, stuck
            )
            sys.stderr.flush()
            os._exit(EXIT_STUCK)
