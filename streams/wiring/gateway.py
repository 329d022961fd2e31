"""The gateway as a part, with the sources that watch."""

import asyncio
import logging
import signal
from collections.abc import Callable
from functools import partial

import uvloop

from streams.clock import SystemClock
from streams.errors import EnsueError, Transport
from streams.gateway.intake import Intake
from streams.gateway.kafka_log import KafkaEventLog
from streams.gateway.outbound import HttpsOutbound
from streams.gateway.server import serve
from streams.kafka.producer import EventProducer
from streams.local.notice import announce_ready
from streams.local.operator_secret import operator_secret
from streams.settings import Settings
from streams.source_settings import FolderSource, KafkaSource, Source, SqsSource
from streams.sources.aws.sqs import SqsWatch
from streams.sources.cloudevents.body import CloudEventsBody
from streams.sources.folder import FolderWatch
from streams.sources.kafka_report import TopicReports
from streams.store.queries.known import known_events
from streams.store.queries.reader import StoreReader
from streams.wiring.common import started_codec, topics_of
from streams.wiring.event_route import event_routes
from streams.wiring.event_types import known_types
from streams.wiring.internal_routes import InternalRoutes
from streams.wiring.kafka_source import kafka_watch
from streams.wiring.live import heard, with_prefect
from streams.wiring.live_sources import LiveSources, Watch
from streams.wiring.sink_lag import StoredLag
from streams.wiring.spoken import Silence
from streams.wiring.sql_route import sql_routes
from streams.wiring.stored_letters import StoredLetters

_log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Take events in until SIGTERM."""
    codec, types = started_codec(settings), known_types(settings)
    store = StoreReader(settings.clickhouse)
    producer = EventProducer(settings.kafka, client_id="ensue-gateway", linger_ms=0)
    lag = StoredLag(settings.kafka, topics_of(settings), store, SystemClock())

    async def main() -> None:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        beside: list[asyncio.Task[None]] = []
        failed: list[BaseException | None] = []
        sources = LiveSources(settings.sources)
        topics = TopicReports()
        letters = StoredLetters(store, settings.kafka)
        secret = operator_secret(settings.data)
        hooks = with_prefect(sources, settings, codec)
        internal = InternalRoutes(secret, letters, hooks, lambda: sources.configured)
        silence = Silence(settings, store, lambda: sources.configured)
        crashed = partial(_crashed, failed, ended)

        def listening(port: int, intake: Intake) -> None:
            _log.info("listening on %s:%d", settings.host, port)
            internal.begin(intake)
            for work in (sources.run(intake, partial(watch_of, settings, topics)), silence.run(intake)):
                task = asyncio.create_task(work)
                task.add_done_callback(crashed)
                beside.append(task)

        await serve(
            settings,
            log=KafkaEventLog(producer),
            codec=codec,
            probe=Probe(store, lambda: announce_ready(settings.data, "gateway", port=settings.port)),
            lag=lag,
            hooks=sources,
            outbound=HttpsOutbound(),
            form=CloudEventsBody(settings.cloudevents_origins),
            more_metrics=lambda: topics.text() + silence.metrics(),
            heard=heard(settings, codec, store),
            types=types,
            extra_routes=[*sql_routes(store), *event_routes(store), *internal.routes()],
            on_listening=listening,
            on_made=silence.made,
            stop=ended,
        )
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        if failed:
            raise Transport(f"a watching source failed: {failed[0]!r}")

    try:
        uvloop.run(main())
    finally:
        producer.close()
        store.close()


def _crashed(failed: list[BaseException | None], ended: asyncio.Event, task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and task.exception() is not None:
        # A source that nobody watches would be missed by nobody: end, and be started again.
        _log.critical("a watching source failed; the gateway ends", exc_info=task.exception())
        failed.append(task.exception())
        ended.set()


class Probe:
    """Implements the gateway's port `StoreProbe`."""

    def __init__(self, store: StoreReader, on_visible: Callable[[], None]) -> None:
        """`on_visible` is called each time an event was found: the way from door to SQL is open."""
        self._store = store
        self._on_visible = on_visible

    async def visible(self, event_id: str) -> bool:
        """Return whether a query finds the event."""
        try:
            found = bool(await asyncio.to_thread(known_events, self._store, [event_id]))
        except EnsueError:
            return False
        if found:
            self._on_visible()
        return found


def watch_of(
    settings: Settings, topics: TopicReports, name: str, source: Source, intake: Intake
) -> Watch | None:
    """Return what watches a source, None when it comes over HTTP; a folder not there yet is made."""
    if isinstance(source, FolderSource):
        source.path.mkdir(parents=True, exist_ok=True)
        return FolderWatch(name, source, publisher=intake, data=settings.data)
    if isinstance(source, SqsSource):
        return SqsWatch(name, source, publisher=intake)
    if isinstance(source, KafkaSource):
        return kafka_watch(name, source, intake, settings, topics)
    return None
