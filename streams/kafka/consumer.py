"""Reading explicit partitions from explicit offsets; no group, nothing committed."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from confluent_kafka import KafkaException, TopicPartition

from streams.errors import Transport
from streams.kafka.batches import BEGINNING, CONSUMER_PROPERTIES, END, Batches
from streams.kafka.config import librdkafka_config
from streams.kafka.record import Place, Record
from streams.settings import KafkaSettings

_TIMEOUT_S = 10.0


class LogReader:
    """A manually assigned consumer; reads what is uncommitted too. One thread at a time.

    Args:
        settings: the broker.
        client_id: name seen in the broker's log.
        properties: librdkafka settings that override ours.

    An offset that retention has removed raises Transport when it is read, never a silent jump.

    """

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        client_id: str = "ensue-reader",
        properties: Mapping[str, Any] | None = None,
    ) -> None:
        own = {
            **CONSUMER_PROPERTIES,
            "client.id": client_id,
            "group.id": client_id,  # the library asks for one; nothing is joined or committed
            "auto.offset.reset": "error",
            **(properties or {}),
        }
        self._batches = Batches(librdkafka_config(settings, own), self._moved)
        self._consumer = self._batches.consumer
        self._positions: dict[Place, int] = {}

    @property
    def positions(self) -> Mapping[Place, int]:
        """Next offset of every assigned partition; gaps (markers, compaction) count once passed."""
        return self._positions

    def assign(self, offsets: Mapping[Place, int]) -> None:
        """Read exactly these partitions from these offsets; BEGINNING and END become real offsets at once.

        Raises Transport when the broker does not answer.
        """
        real = {place: self._real(place, offset) for place, offset in offsets.items()}
        self._consumer.assign([TopicPartition(*place, offset) for place, offset in real.items()])
        self._positions = real

    def consume(self, count_max: int = 1000, timeout_s: float = 0.1) -> list[Record]:
        """Return what is there, waiting only for the first record; raises Transport or BadInput."""
        return self._batches.take(count_max, timeout_s)

    def watermarks(self, topic: str, partition: int) -> tuple[int, int]:
        """Return (first offset, offset after the last) as of now; raises Transport."""
        try:
            low, high = self._consumer.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=_TIMEOUT_S
            )
        except KafkaException as error:
            raise Transport(
                f"the ends of {topic}[{partition}] are not known: {error.args[0].str()}; try again"
            ) from error
        return int(low), int(high)

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Continue an assigned partition elsewhere; BEGINNING and END are understood."""
        real = self._real((topic, partition), offset)
        try:
            self._consumer.seek(TopicPartition(topic, partition, real))
        except KafkaException as error:
            raise Transport(
                f"{topic}[{partition}] could not be moved to offset {offset}: {error.args[0].str()}"
            ) from error
        self._positions[topic, partition] = real

    def pause(self, places: Sequence[Place]) -> None:
        """Stop handing out records of these partitions."""
        self._consumer.pause([TopicPartition(*place) for place in places])

    def resume(self, places: Sequence[Place]) -> None:
        """Hand out their records again, from where they stopped."""
        self._consumer.resume([TopicPartition(*place) for place in places])

    def lag(self) -> Mapping[Place, int]:
        """Offsets between position and end of every assigned partition, as last heard; asks nobody."""
        found = {}
        for place, position in self._positions.items():
            _, high = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            found[place] = max(0, high - position)
        return found

    def close(self) -> None:
        """End reading."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _real(self, place: Place, offset: int) -> int:
        if offset == BEGINNING:
            return self.watermarks(*place)[0]
        if offset == END:
            return self.watermarks(*place)[1]
        return offset

    def _moved(self, place: Place, offset: int) -> None:
        # Records of a partition given up may still arrive after an assign or seek; they are not ours.
        if place in self._positions:
            self._positions[place] = offset
