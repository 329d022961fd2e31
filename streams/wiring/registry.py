"""The schema registry as a part."""

import uvloop

from streams.local.notice import announce_ready
from streams.registry.server import serve
from streams.settings import Settings


def run(settings: Settings) -> None:
    """Serve Confluent's REST API until SIGTERM."""
    uvloop.run(
        serve(
            settings,
            settings.host,
            settings.registry_port,
            on_listening=lambda port: announce_ready(settings.data, "registry", port=port),
        )
    )
