"""The embedded broker as a part."""

from streams.errors import Transport
from streams.local.broker import LocalBroker
from streams.local.notice import announce_ready
from streams.settings import Settings
from streams.wiring.stopping import stop_event

_POLL_S = 0.2


def run(settings: Settings) -> None:
    """Run the broker until SIGTERM; raises Transport when the JVM ends by itself."""
    stopped = stop_event()
    broker = LocalBroker(settings.data, settings.broker_port)
    broker.start()
    try:
        wished = f"{settings.host}:{settings.broker_port}"
        if settings.broker_port and broker.bootstrap != wished:
            raise Transport(
                f"port {settings.broker_port} was taken meanwhile; the broker is at {broker.bootstrap}"
            )
        announce_ready(settings.data, "broker", bootstrap_servers=broker.bootstrap, jvm_pid=broker.pid)
        while not stopped.wait(_POLL_S):
            if not broker.running:
                raise Transport(
                    f"the broker's Java ended with exit code {broker.exit_code}; see {broker.log_path}"
                )
    finally:
        broker.stop()
