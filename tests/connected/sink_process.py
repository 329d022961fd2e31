"""Processes around the sink for kill tests: `python -m tests.connected.sink_process sink|produce JSON`."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

from schemas.codec import FixedRegistry, fixed_codec
from schemas.identity import derived_id
from schemas.record import EventRecord
from schemas.shard import shard
from schemas.topics import topics
from streams.kafka.producer import EventProducer
from streams.kafka.record import Outgoing
from streams.settings import ClickHouseSettings, KafkaSettings, Settings, SinkSettings
from streams.store.sink_run import run_sink

CHUNK = 200


def id_of(number: int, start_ms: int) -> str:
    """The id of event `number`, the same in every producer."""
    return derived_id("kill", number, ms=start_ms + number // 10)


def event(number: int, start_ms: int) -> EventRecord:
    """Event `number`."""
    one = id_of(number, start_ms)
    return EventRecord(
        id=one,
        event="kill.test",
        resource_id=f"r{number % 97}",
        occurred=start_ms * 1000 + number,
        received=start_ms * 1000 + number,
        resource=json.dumps({"resource.id": f"r{number % 97}"}),
        related="[]",
        payload=json.dumps({"n": number}),
        source="",
        causation_id=None,
        correlation_id=one,
        follows=None,
        replay_of=None,
    )


def produce(args: dict[str, Any]) -> None:
    """Write events in chunks, noting a chunk once all of it is acknowledged: a restart goes on there."""
    kafka = KafkaSettings(**args["kafka"])
    events = topics(kafka.topic_prefix, args["partitions"]).events
    noted = Path(args["noted"])
    codec = fixed_codec()
    with EventProducer(kafka, linger_ms=2) as producer:
        done = int(noted.read_text()) if noted.exists() else 0
        while done < args["count"]:
            end = min(done + CHUNK, args["count"])
            futures = []
            for number in range(done, end):
                record = event(number, args["start_ms"])
                out = Outgoing(
                    events.name, shard(record.resource_id, events.partitions), None, codec.encode(record)
                )
                futures.append(producer.produce(*out))
            for future in futures:
                future.result(30)
            done = end
            spare = noted.with_suffix(".new")
            spare.write_text(str(done))
            spare.replace(noted)


def sink(args: dict[str, Any]) -> None:
    """Run the sink."""
    logging.basicConfig(level=logging.WARNING)
    settings = Settings(
        kafka=KafkaSettings(**args["kafka"], partitions=args["partitions"]),
        clickhouse=ClickHouseSettings(**args["clickhouse"]),
        sink=SinkSettings(batch_records=args.get("batch_records", 20_000)),
    )
    run_sink(settings, FixedRegistry(), identity=args["identity"], completes=args["completes"])


if __name__ == "__main__":
    {"sink": sink, "produce": produce}[sys.argv[1]](json.loads(sys.argv[2]))
