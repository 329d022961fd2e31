"""The process of kafka_source_process.py, and what it left in the log."""

import os
import subprocess
import sys
import time
from pathlib import Path

from schemas.codec import fixed_codec
from schemas.record import DeadLetter, EventRecord
from streams.kafka.config import librdkafka_config
from streams.kafka.tail import read_to_end
from streams.settings import KafkaSettings

WITHIN_S = 120.0
ROOT = Path(__file__).parents[2]


class Reading:
    """The process that reads."""

    def __init__(self, kafka: KafkaSettings, topic: str, published: Path) -> None:
        self._published = published
        self._before = self.publications
        self.process = subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).with_name("kafka_source_process.py")),
                kafka.bootstrap_servers,
                kafka.topic_prefix,
                topic,
                str(published),
            ],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    @property
    def publications(self) -> int:
        """Acknowledged so far, by all processes."""
        return self._published.stat().st_size if self._published.exists() else 0

    def kill_in_the_middle(self, after: int) -> None:
        """Kill -9 once this process has published `after` times."""
        deadline_s = time.monotonic() + WITHIN_S
        while self.publications - self._before < after:
            assert self.process.poll() is None, "the reading process ended by itself"
            assert time.monotonic() < deadline_s, "nothing was published"
            time.sleep(0.005)
        self.stop()

    def stop(self) -> None:
        """Kill -9."""
        self.process.kill()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


def stored(kafka: KafkaSettings) -> tuple[list[EventRecord], list[DeadLetter]]:
    """Everything in the events and dead letters topics, in log order of each partition."""
    codec, names = fixed_codec(), kafka.topics()
    client = librdkafka_config(kafka)
    found: dict[str, list[bytes]] = {names.events.name: [], names.dead_letters.name: []}
    for topic in (names.events, names.dead_letters):
        for partition in range(topic.partitions):
            for batch in read_to_end(client, topic.name, partition):
                found[topic.name] += [record.value for record in batch if record.value is not None]
    return (
        [codec.decode(value, EventRecord) for value in found[names.events.name]],
        [codec.decode(value, DeadLetter) for value in found[names.dead_letters.name]],
    )
