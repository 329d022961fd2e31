"""The sink as a part."""

from streams.local.notice import announce_ready
from streams.registry.client import HttpRegistry
from streams.settings import Settings
from streams.store.sink_run import run_sink
from streams.store.typed_views import TypedViews
from streams.wiring.common import as_writer, started_codec
from streams.wiring.event_types import follow_types
from streams.wiring.stopping import stop_event


def run(settings: Settings) -> None:
    """Sink until SIGTERM."""
    stopped = stop_event()
    started_codec(settings)  # topics and schemas are there
    writing = as_writer(settings)
    # One sink of all makes the views of typed events: it has the writer's rights and is always there.
    views = follow_types(settings, TypedViews(writing.clickhouse).take) if not settings.sink.ordinal else None
    try:
        run_sink(
            writing,
            HttpRegistry(settings.registry.url),
            stop=stopped,
            on_ready=lambda: announce_ready(settings.data, "sink", ordinal=settings.sink.ordinal),
        )
    finally:
        if views is not None:
            views.close()
