"""The `sink` process: wires the sink, keeps it going while services are away, ends it when it is stuck."""

import faulthandler
import logging
import os
import sys
import threading
import time
from collections.abc import Callable

from schemas import avro_schema
from schemas.codec import Codec
from schemas.record import DeadLetter
from schemas.registry import Registry
from schemas.shard import shard
from schemas.topics import Topic, Topics
from streams.clock import SystemClock
from streams.errors import Fenced, Overload, Transport
from streams.kafka.consumer import LogReader
from streams.kafka.producer import EventProducer
from streams.settings import Settings
from streams.store.client import StoreWriter
from streams.store.sink import Batching, Sink
from streams.store.sink_insert import Inserter
from streams.store.sink_start import open_places
from streams.store.tables import targets

PAUSE_MAX_S = 5.0
STUCK_AFTER_S = 180.0
EXIT_STUCK = 70
GATHER_BYTES = 256 << 10
LINGER_MS = 20  # for what a second fetch brings at once
_ACK_S = 30.0
_log = logging.getLogger(__name__)


class _Stopped(BaseException):
    """The sink is to end while it waits for a service."""


class DeadLetterTopic:
    """Writes dead letters into their topic, one by one, acknowledged."""

    def __init__(self, settings: Settings, topic: Topic, registry: Registry) -> None:
        self._topic = topic
        self._registry = registry
        self._producer = EventProducer(settings.kafka, client_id="ensue-sink", linger_ms=0)
        self._codec: Codec | None = None

    def put(self, letter: DeadLetter) -> None:
        """Write a dead letter; returns once it is durable."""
        if self._codec is None:
            number = self._registry.lookup(self._topic.subject, avro_schema.text("dead_letter"))
            self._codec = Codec(self._registry, {"dead_letter": number})
        future = self._producer.produce(
            self._topic.name,
            shard(letter.id, self._topic.partitions),
            letter.id.encode(),
            self._codec.encode(letter),
        )
        try:
            future.result(timeout=_ACK_S)
        except TimeoutError:
            raise Transport("The broker did not acknowledge a dead letter; it is written again.") from None

    def close(self) -> None:
        """Close the producer."""
        self._producer.close()


class Watchdog:
    """Ends the process when the sink's loop stands still: a restart is safe, a silent stop is not."""

    def __init__(self, beat_s: Callable[[], float], stuck_after_s: float = STUCK_AFTER_S) -> None:
        self._beat_s = beat_s
        self._stuck_after_s = stuck_after_s
        self._closed = threading.Event()
        threading.Thread(target=self._watch, name="sink-watchdog", daemon=True).start()

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(1.0):
            if time.monotonic() - self._beat_s() > self._stuck_after_s:
                _log.critical(
                    "the sink has not moved for %.0f s; it ends and is started again", self._stuck_after_s
                )
                faulthandler.dump_traceback(file=sys.stderr)
                os._exit(EXIT_STUCK)


def run_sink(
    settings: Settings,
    registry: Registry,
    *,
    stop: threading.Event | None = None,
    on_ready: Callable[[], None] | None = None,
    all_topics: Topics | None = None,
    identity: bool = True,
    completes: bool = True,
) -> None:
    """Run one sink until `stop` is set; blocks.

    Args:
        settings: `kafka`, `clickhouse` (url and writer password filled in), `sink` and the dedupe bounds.
        registry: asked for writers' schemas.
        stop: set it to end after the batch under way.
        on_ready: called once the sink reads.
        all_topics: when not those of the settings.
        identity: off only where a test shows what the id window is good for.
        completes: off only where a test shows what completion by offset is good for.

    Raises:
        Fenced: another sink took this ordinal.

    """
    ending = stop or threading.Event()
    beat_s = [time.monotonic()]

    def pause(attempt: int) -> None:
        beat_s[0] = time.monotonic()
        if ending.wait(min(0.1 * 2 ** min(attempt, 10), PAUSE_MAX_S)):
            raise _Stopped

    watchdog = Watchdog(lambda: beat_s[0])
    kafka = settings.kafka
    stored = all_topics or kafka.topics()
    letters = DeadLetterTopic(settings, stored.dead_letters, registry)
    try:
        while not ending.is_set():
            try:
                _run_once(
                    settings, registry, stored, letters, pause, ending, beat_s, on_ready, identity, completes
                )
            except Fenced:
                raise
            except (Transport, Overload, OSError) as error:
                _log.warning("the sink starts again: %s", error)
                pause(3)
    except _Stopped:
        return
    finally:
        watchdog.close()
        letters.close()


def _run_once(
    settings: Settings,
    registry: Registry,
    stored: Topics,
    letters: DeadLetterTopic,
    pause: Callable[[int], None],
    ending: threading.Event,
    beat_s: list[float],
    on_ready: Callable[[], None] | None,
    identity: bool,
    completes: bool,
) -> None:
    """Take the lease, find the place to go on, and sink until told to end."""
    store = StoreWriter(settings.clickhouse, settings.sink.ordinal)
    # The broker gathers: at some hundred events a second a fetch or an insert costs more than its rows.
    gathering = {"fetch.min.bytes": GATHER_BYTES, "fetch.wait.max.ms": settings.sink.batch_ms}
    log = LogReader(settings.kafka, client_id=f"ensue-sink-{settings.sink.ordinal}", properties=gathering)
    try:
        store.migrate()
        epoch = store.take_lease()
        places = open_places(
            targets(stored),
            ordinal=settings.sink.ordinal,
            of=settings.sink.of,
            log=log,
            store=store,
            dedupe_for_us=int(settings.dedupe_for_s * 1_000_000),
            dedupe_ids_max=settings.dedupe_ids_max,
            completes=completes,
        )
        inserter = Inserter(store, registry, letters, SystemClock(), pause)
        batching = Batching(records=settings.sink.batch_records, ms=min(settings.sink.batch_ms, LINGER_MS))
        sink = Sink(places, log, store, inserter, batching, identity=identity)
        _log.info("sink %d reads %d partitions under lease %d", settings.sink.ordinal, len(places), epoch)
        if on_ready is not None:
            on_ready()
        while not ending.is_set():
            beat_s[0] = time.monotonic()
            sink.step()
        sink.finish()
    finally:
        log.close()
        store.close()
