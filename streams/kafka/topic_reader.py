"""An existing topic as a member of a group reads it: a thread polls, so that no event loop waits.

Nothing here decides what a record means. Offsets are committed only as far as the caller says, a second after
it said so at the latest, when partitions go and at the end.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from streams.errors import BadInput, EnsueError, Transport
from streams.kafka.config import librdkafka_config
from streams.kafka.group import GroupConsumer
from streams.kafka.record import Place, Record
from streams.settings import KafkaSettings

_log = logging.getLogger(__name__)
T = TypeVar("T")
_ASK_S = 10.0
_COMMIT_EVERY_S, _COMMIT_AGAIN_S = 1.0, 60.0
_CLOSE_WITHIN_S = 5.0
_ASK_AGAIN_S = 2.0
_EARLY_MAX = 100
_MISSING = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)  # noqa: SLF001 - librdkafka's own
_PROPERTIES: Mapping[str, Any] = {
    # Others' topics: what their transactions took back was never there.
    "isolation.level": "read_committed",
    # Where retention was faster than us we go on with what there is, never at the end.
    "auto.offset.reset": "earliest",
    "fetch.message.max.bytes": 1 << 20,
    "queued.max.messages.kbytes": 16 << 10,
    "topic.metadata.refresh.interval.ms": 30_000,  # new partitions are seen within this
}
FIXED = frozenset(
    {
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.partition.eof",
        "group.id",
        "partition.assignment.strategy",
        "auto.offset.reset",
        "bootstrap.servers",
    }
)


def cluster_id(settings: KafkaSettings) -> str:
    """Return the id that a cluster has for ever; blocks. Raises Transport."""
    admin = AdminClient(librdkafka_config(settings, client_id="ensue-source"))
    try:
        return str(admin.list_topics(timeout=_ASK_S).cluster_id)
    except KafkaException as error:
        raise Transport(
            f"the Kafka cluster {settings.bootstrap_servers} does not answer: {error.args[0].str()}"
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicFacts:
    """What the broker says of a topic."""

    cluster_id: str
    partitions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicBatch:
    """Records in log order within their partitions.

    Attributes:
        records: What was read.
        positions: Next offsets once these and all earlier records are done; gaps count as read.
        ends: Offset after the last record of each partition that is ours, as last heard.
        away: Why the cluster cannot be reached; empty while it can.

    """

    records: Sequence[Record]
    positions: Mapping[Place, int]
    ends: Mapping[Place, int]
    away: str = ""


class TopicReader:
    """Reads one topic; every method runs in its own thread, so awaiting it costs the loop nothing.

    Args:
        settings: The cluster.
        topic: Its name.
        group: The consumer group.
        start: Where a group begins that never read the topic: `earliest` or `latest`.
        properties: librdkafka settings that override ours, those in FIXED excepted.

    """

    def __init__(
        self,
        settings: KafkaSettings,
        topic: str,
        group: str,
        *,
        start: str = "earliest",
        properties: Mapping[str, str] | None = None,
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._group = group
        self._latest = start == "latest"
        self._properties = {**_PROPERTIES, **(properties or {})}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"topic-{topic}")
        self._consumer: GroupConsumer | None = None
        self._held = False
        self._early: list[Record] = []  # came after a hold
        self._done: dict[Place, int] = {}
        self._stored: dict[Place, int] = {}
        self._asked_s = 0.0
        self._committed_s = self._repeated_s = 0.0

    async def open(self) -> TopicFacts:
        """Join the group once the topic is there; raises BadInput (refused, missing) or Transport (away)."""
        return await self._in_thread(self._open)

    async def take(self, count_max: int, wait_s: float) -> TopicBatch:
        """Return what is there, waiting only for the first record; raises Transport or BadInput."""
        return await self._in_thread(lambda: self._take(count_max, wait_s))

    async def stay(self) -> None:
        """Show the group that we live while records wait to be done; nothing is handed out.

        Raises Transport or BadInput.
        """
        await self._in_thread(self._stay)

    async def done(self, positions: Mapping[Place, int]) -> None:
        """Everything before these offsets is done and may be committed."""
        await self._in_thread(lambda: self._note(positions))

    async def close(self) -> None:
        """Commit what is done and leave the group; returns after 5 s at the latest."""
        closing = asyncio.ensure_future(self._in_thread(self._close))
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(closing), _CLOSE_WITHIN_S)
        finally:
            self._thread.shutdown(wait=False)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, call)
        except KafkaException as error:
            raise Transport(f"topic {self._topic} cannot be read now: {error.args[0]}") from error

    def _open(self) -> TopicFacts:
        try:
            consumer = GroupConsumer(
                self._settings,
                self._group,
                [self._topic],
                on_assign=self._on_assign if self._latest else None,
                on_revoke=self._on_revoke,
                client_id="ensue-source",
                properties=self._properties,
            )
        except (KafkaException, ValueError, TypeError) as error:
            raise BadInput(f"the Kafka client refuses its settings: {error}") from None
        self._consumer = consumer
        return self._facts(consumer)

    def _facts(self, consumer: GroupConsumer) -> TopicFacts:
        deadline_s = time.monotonic() + _ASK_S
        while True:
            try:
                found = consumer.metadata(self._topic, 1.0)
                break
            except Transport:
                self._early += consumer.consume(1, 0)  # raises a refusal long before the time is over
                if time.monotonic() > deadline_s:
                    raise
        topic = found.topics[self._topic]
        if topic.error is not None and topic.error.code() in _MISSING:
            raise BadInput(
                f"there is no topic {self._topic} on {self._settings.bootstrap_servers}; create it"
            )
        if topic.error is not None:
            raise Transport(f"topic {self._topic} cannot be read now: {topic.error.str()}")
        return TopicFacts(cluster_id=found.cluster_id or "", partitions=len(topic.partitions))

    def _opened(self) -> GroupConsumer:
        assert self._consumer is not None, "open() comes first"
        return self._consumer

    def _take(self, count_max: int, wait_s: float) -> TopicBatch:
        consumer = self._opened()
        if self._held:
            self._held = False
            consumer.release()
        early, self._early = self._early, []
        owned = consumer.owned
        records = [record for record in early if (record.topic, record.partition) in owned]
        if not records:
            records = consumer.consume(count_max, wait_s)
        if consumer.away:
            self._ask_again(consumer)
        self._commit_due()
        return TopicBatch(
            records=records, positions=dict(consumer.positions), ends=consumer.ends(), away=consumer.away
        )

    def _ask_again(self, consumer: GroupConsumer) -> None:
        """See whether the cluster is back: where nothing is written, no record would tell."""
        now_s = time.monotonic()
        if now_s - self._asked_s >= _ASK_AGAIN_S:
            self._asked_s = now_s
            with contextlib.suppress(Transport):
                consumer.metadata(self._topic, 1.0)

    def _stay(self) -> None:
        consumer = self._opened()
        if not self._held:
            self._held = True
            consumer.hold()
        self._early += consumer.consume(_EARLY_MAX, 0.05)
        self._commit_due()

    def _note(self, positions: Mapping[Place, int]) -> None:
        owned = self._opened().owned
        now_s = time.monotonic()
        if now_s - self._repeated_s >= _COMMIT_AGAIN_S:
            # Nobody hears of a commit that was refused: what did not move since is said once more.
            self._repeated_s, self._stored = now_s, {}
        self._done |= {
            place: at for place, at in positions.items() if place in owned and self._stored.get(place) != at
        }
        self._commit_due()

    def _commit_due(self) -> None:
        now_s = time.monotonic()
        if self._done and now_s - self._committed_s >= _COMMIT_EVERY_S:
            self._committed_s = now_s
            self._commit(self._done, wait=False)
            self._stored |= self._done
            self._done = {}

    def _commit(self, offsets: Mapping[Place, int], *, wait: bool) -> None:
        try:
            self._opened().commit(offsets, wait=wait)
        except Transport as error:
            _log.info("%s; ids decide what is new then", error)

    def _on_assign(self, places: Sequence[Place]) -> Mapping[Place, int]:
        """Begin at the end where the group is new; partitions that were added later begin at their start."""
        consumer = self._opened()
        partitions = sorted(consumer.metadata(self._topic, _ASK_S).topics[self._topic].partitions)
        stored = consumer.stored([(self._topic, number) for number in partitions])
        if stored:
            return {place: OFFSET_BEGINNING for place in places if place not in stored}
        ends = {(self._topic, number): consumer.end((self._topic, number)) for number in partitions}
        # All of them, at once: whoever gets the others must not take them for new partitions.
        consumer.store_start(ends)
        return {place: ends[place] for place in places}

    def _on_revoke(self, places: Sequence[Place], lost: bool) -> None:
        for place in places:
            self._stored.pop(place, None)
        # Should they come back, they are read from what is committed, in order.
        self._early = [record for record in self._early if (record.topic, record.partition) not in places]
        going = {place: self._done.pop(place) for place in places if place in self._done}
        if going and not lost:
            self._commit(going, wait=True)

    def _close(self) -> None:
        if self._consumer is None:
            return
        with contextlib.suppress(EnsueError, KafkaException):
            if self._done:
                self._commit(self._done, wait=True)
                self._done = {}
            self._consumer.close()
