"""A gateway in a process of its own over a real broker; prints its port."""

import asyncio
import sys
from typing import Any

from schemas.codec import fixed_codec
from streams.gateway.kafka_log import KafkaEventLog
from streams.gateway.server import serve
from streams.kafka.producer import EventProducer
from streams.settings import KafkaSettings, Settings


class Visible:
    """A store that shows everything."""

    async def visible(self, _event_id: str) -> bool:
        """Yes."""
        return True

    async def share_of_retention(self) -> float:
        """None."""
        return 0.0


def listening(port: int, _intake: Any) -> None:
    """Say where."""
    print(port, flush=True)


async def main(bootstrap: str, prefix: str) -> None:
    """Serve until SIGTERM."""
    kafka = KafkaSettings(bootstrap_servers=bootstrap, topic_prefix=prefix)
    with EventProducer(kafka, client_id="test-gateway", linger_ms=1) as producer:
        await serve(
            Settings(port=0, kafka=kafka),
            log=KafkaEventLog(producer),
            codec=fixed_codec(),
            probe=Visible(),
            lag=Visible(),
            hooks={},
            on_listening=listening,
        )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
