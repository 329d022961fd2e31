"""Reading as a member of a group: the broker says which partitions, we say from where and commit how far."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from confluent_kafka import KafkaException, TopicPartition

from streams.errors import Transport
from streams.kafka.batches import CONSUMER_PROPERTIES, Batches
from streams.kafka.config import librdkafka_config
from streams.kafka.record import Place, Record
from streams.settings import KafkaSettings

_ASK_S = 10.0
OnAssign = Callable[[Sequence[Place]], Mapping[Place, int] | None]
OnRevoke = Callable[[Sequence[Place], bool], None]


class GroupConsumer:
    """A group member with explicit commits; one thread at a time, callbacks run on it inside `consume`.

    Partitions move one by one (cooperative): those that stay are not interrupted.

    Args:
        settings: the broker.
        group: the group's id.
        topics: what to subscribe to.
        on_assign: told new partitions before their first record; may return offsets to start from, else the
            committed ones hold (or the log's beginning). What it raises comes out of `consume`.
        on_revoke: told partitions that go, and whether they are lost already (then nothing may be committed).
        client_id: name seen in the broker's log.
        session_timeout_s: silence after which the broker gives our partitions to others.
        properties: librdkafka settings that override ours.

    """

    def __init__(
        self,
        settings: KafkaSettings,
        group: str,
        topics: Sequence[str],
        *,
        on_assign: OnAssign | None = None,
        on_revoke: OnRevoke | None = None,
        client_id: str = "ensue-group",
        session_timeout_s: float = 10.0,
        properties: Mapping[str, Any] | None = None,
    ) -> None:
        own = {
            **CONSUMER_PROPERTIES,
            "client.id": client_id,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": int(session_timeout_s * 1000),
            "heartbeat.interval.ms": max(300, int(session_timeout_s * 1000 / 5)),
            **(properties or {}),
        }
        self._group = group
        self._on_assign = on_assign
        self._on_revoke = on_revoke
        self._positions: dict[Place, int] = {}
        self._owned: set[Place] = set()
        self._held = False
        self._batches = Batches(librdkafka_config(settings, own), self._moved)
        self._consumer = self._batches.consumer
        self._consumer.subscribe(
            list(topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )

    @property
    def owned(self) -> frozenset[Place]:
        """Partitions that are ours now."""
        return frozenset(self._owned)

    @property
    def positions(self) -> Mapping[Place, int]:
        """Next offset of every partition that was read from; gaps count once passed."""
        return self._positions

    def consume(self, count_max: int = 1000, timeout_s: float = 0.1) -> list[Record]:
        """Return what is there, waiting only for the first record; raises Transport or BadInput."""
        return self._batches.take(count_max, timeout_s)

    def commit(self, offsets: Mapping[Place, int], *, wait: bool = False) -> None:
        """Store next offsets for the group; those of partitions no longer ours are left out.

        Without `wait` the answer is not awaited: a later commit or a redelivery makes up for a lost one.
        Raises Transport when waiting and the broker refused.
        """
        ours = [TopicPartition(*place, at) for place, at in offsets.items() if place in self._owned]
        if not ours:
            return
        try:
            answer = self._consumer.commit(offsets=ours, asynchronous=not wait)
        except KafkaException as error:
            raise Transport(
                f"the group {self._group} could not store its offsets: {error.args[0].str()}; "
                "what was done since is done again"
            ) from error
        for place in answer or ():
            if place.error is not None:
                raise Transport(
                    f"the group {self._group} could not store offset {place.offset} of "
                    f"{place.topic}[{place.partition}]: {place.error.str()}"
                )

    def lag(self) -> Mapping[Place, int]:
        """Offsets between position and end of every partition read from, as last heard; asks nobody."""
        found = {}
        for place, position in self._positions.items():
            _, high = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            found[place] = max(0, high - position)
        return found

    def ends(self) -> Mapping[Place, int]:
        """Offset after the last record of every partition that is ours, as last heard; asks nobody."""
        found = {}
        for place in self._owned:
            _, high = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            if high >= 0:
                found[place] = int(high)
        return found

    def end(self, place: Place) -> int:
        """Return the offset after the last record of a partition now; raises Transport."""
        try:
            return int(self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=_ASK_S)[1])
        except KafkaException as error:
            raise Transport(f"the end of {place[0]}[{place[1]}] is not known: {_told(error)}") from error

    def metadata(self, topic: str, timeout_s: float) -> Any:
        """Return what the cluster says of a topic, and that it answers at all; raises Transport."""
        try:
            found = self._consumer.list_topics(topic, timeout=timeout_s)
        except KafkaException as error:
            raise Transport(f"the Kafka cluster does not answer: {self.away or _told(error)}") from error
        self._batches.away = ""
        return found

    @property
    def away(self) -> str:
        """What the client last said of a cluster that it cannot reach, until `metadata` reaches it."""
        return self._batches.away

    def stored(self, places: Sequence[Place]) -> Mapping[Place, int]:
        """Return the offsets that the group has committed, those of others included; raises Transport."""
        try:
            found = self._consumer.committed([TopicPartition(*place) for place in places], timeout=_ASK_S)
        except KafkaException as error:
            raise Transport(f"the offsets of {self._group} are not known: {_told(error)}") from error
        return {(p.topic, p.partition): p.offset for p in found if p.offset >= 0}

    def store_start(self, offsets: Mapping[Place, int]) -> None:
        """Commit where a new group begins, for partitions of others too; raises Transport."""
        wanted = [TopicPartition(*place, at) for place, at in offsets.items()]
        try:
            self._consumer.commit(offsets=wanted, asynchronous=False)
        except KafkaException as error:
            raise Transport(f"{self._group} could not store where it begins: {_told(error)}") from error

    def pause(self, places: Sequence[Place]) -> None:
        """Stop handing out records of these partitions; membership goes on while `consume` is called."""
        self._consumer.pause([TopicPartition(*place) for place in places])

    def resume(self, places: Sequence[Place]) -> None:
        """Hand out their records again, from where they stopped."""
        self._consumer.resume([TopicPartition(*place) for place in places])

    def hold(self) -> None:
        """Hand out nothing until `release`, partitions that come meanwhile included.

        Keep calling `consume`: it hands out nothing then, but the group sees that we live.
        """
        self._held = True
        self.pause(sorted(self._owned))

    def release(self) -> None:
        """Hand out records again."""
        self._held = False
        self.resume(sorted(self._owned))

    def close(self) -> None:
        """Leave the group; `on_revoke` runs for what is still ours."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _assigned(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        places = [(p.topic, p.partition) for p in partitions]
        offsets = (self._on_assign(places) if self._on_assign and places else None) or {}
        for partition in partitions:
            place = (partition.topic, partition.partition)
            if place in offsets:
                partition.offset = offsets[place]
                if offsets[place] >= 0:  # else the log's beginning or end, wherever that is
                    self._positions[place] = offsets[place]
        self._owned.update(places)
        consumer.incremental_assign(partitions)
        if self._held:
            consumer.pause(partitions)

    def _revoked(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        self._give_up(consumer, partitions, lost=False)

    def _lost(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        self._give_up(consumer, partitions, lost=True)

    def _give_up(self, consumer: Any, partitions: list[TopicPartition], *, lost: bool) -> None:
        places = [(p.topic, p.partition) for p in partitions]
        try:
            if self._on_revoke and places:
                self._on_revoke(places, lost)
        finally:
            for place in places:
                self._owned.discard(place)
                self._positions.pop(place, None)
            consumer.incremental_unassign(partitions)

    def _moved(self, place: Place, offset: int) -> None:
        if place in self._owned:
            self._positions[place] = offset


def _told(error: KafkaException) -> str:
    return str(error.args[0].str())
