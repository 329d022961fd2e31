"""A topic as a source in a process of its own: the gateway's intake, no HTTP; says when it reads."""

import asyncio
import sys
from pathlib import Path

from schemas.codec import fixed_codec
from streams.gateway.intake import Intake
from streams.gateway.item import Writer
from streams.gateway.kafka_log import KafkaEventLog
from streams.gateway.metrics import Metrics
from streams.kafka.producer import EventProducer
from streams.settings import KafkaSettings, LimitSettings, Settings
from streams.source_settings import KafkaSource
from streams.sources.kafka_report import TopicReports
from streams.wiring.kafka_source import kafka_watch


def note(path: Path) -> None:
    """Add a byte, at once."""
    with path.open("ab") as file:
        file.write(b".")


async def main(bootstrap: str, prefix: str, topic: str, published: str) -> None:
    """Read until killed; each publication adds a byte to `published` before its acknowledgement counts."""
    kafka = KafkaSettings(bootstrap_servers=bootstrap, topic_prefix=prefix)
    settings = Settings(kafka=kafka)
    codec = fixed_codec()
    names = kafka.topics()
    with EventProducer(kafka, client_id="test-source", linger_ms=1) as producer:
        writer = Writer(
            header=codec.header("event"), partitions=names.events.partitions, limits=LimitSettings()
        )
        intake = Intake(KafkaEventLog(producer), codec, names, writer, Metrics(), ack_timeout_s=10)
        publish = intake.publish

        async def counted(events: object) -> None:
            await publish(events)  # type: ignore[arg-type]
            note(Path(published))
            await asyncio.sleep(0.05)  # so that a kill hits what is not committed yet

        intake.publish = counted  # type: ignore[method-assign]
        source = KafkaSource(kind="kafka", topic=topic, client={"session.timeout.ms": "3000"})
        print("reading", flush=True)
        await kafka_watch("orders", source, intake, settings, TopicReports()).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
