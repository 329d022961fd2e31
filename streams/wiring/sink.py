"""The sink as a part."""

from streams.local.notice import announce_ready
from streams.registry.client import HttpRegistry
from streams.settings import Settings
from streams.store.sink_run import run_sink
from streams.wiring.common import as_writer, started_codec
from streams.wiring.stopping import stop_event


def run(settings: Settings) -> None:
    """Sink until SIGTERM."""
    stopped = stop_event()
    started_codec(settings)  # topics and schemas are there
    run_sink(
        as_writer(settings),
        HttpRegistry(settings.registry.url),
        stop=stopped,
        on_ready=lambda: announce_ready(settings.data, "sink", ordinal=settings.sink.ordinal),
    )
