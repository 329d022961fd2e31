"""What the router writes, as rows: candidates, marks and dead letters. Pure."""

from collections.abc import Callable, Sequence

from flows.core import identity
from flows.core.trigger import Trigger
from schemas.identity import derived_id
from schemas.record import Candidate, DeadLetter
from schemas.shard import shard
from schemas.topics import Topics
from streams.errors import Poison
from streams.kafka.dead_letter import RAW_BYTES_MAX
from streams.kafka.fenced import Row
from streams.router.ports import Mark, Stored
from streams.router.scan import Hit

MARK = "ensue.mark"
MARK_KIND = "mark"
CANDIDATE_KIND = "candidate"
KEY_SEPARATOR = "\x1f"
_MARK_KEY = b"\x1fmark"  # no trigger is named by the empty text, so it meets no candidate's key

EVENT_BYTES_MAX = 4 << 20  # it travels on in candidate, state and run request, each one Kafka message (8 MiB)
_PLACES_MAX = 10_000
Encode = Callable[[object], bytes]


def mark_partition(events_partition: int, candidates_partitions: int) -> int:
    """Return the candidates partition in which recovery looks for the marks of an events partition.

    Every mark stands in every candidates partition; reading one of them is enough, and which one is fixed.
    """
    return events_partition % candidates_partitions


class Rows:
    """Builds rows for one partition of the events log."""

    def __init__(self, topics: Topics, partition: int, encode: Encode) -> None:
        self._topics = topics
        self._partition = partition
        self._encode = encode
        self._places: dict[tuple[str, str], tuple[int, bytes]] = {}

    def candidates(
        self, hit: Hit, targets: Sequence[tuple[Trigger, str]], triggers_offset: int, *, duplicate: bool
    ) -> list[Row]:
        """Return a candidate for each (trigger, group key), in their order; all of them or Poison."""
        if len(hit.value) > EVENT_BYTES_MAX:
            raise Poison(
                f"{len(hit.value)} bytes are more than the {EVENT_BYTES_MAX} that a run request can carry",
                reason="too_large",
            )
        topic = self._topics.candidates
        rows = []
        for trigger, group_key in targets:
            candidate = Candidate(
                id=identity.candidate_id(trigger.name, hit.id),
                event=hit.name,
                kind=CANDIDATE_KIND,
                trigger=trigger.name,
                group_key=group_key,
                event_id=hit.id,
                events_partition=self._partition,
                events_offset=hit.record.offset,
                triggers_offset=triggers_offset,
                outcome="duplicate" if duplicate else "new",
                body=hit.value,
            )
            try:
                partition, key = self._place(trigger.name, group_key)
                rows.append(Row(topic.name, partition, key, self._encode(candidate)))
            except (UnicodeEncodeError, TypeError) as error:  # a label of half a character, or of a number
                raise Poison(
                    f"the group {group_key!r} of trigger {trigger.name} is no text: {error}",
                    reason="not_text",
                ) from error
        return rows

    def _place(self, trigger: str, group_key: str) -> tuple[int, bytes]:
        """Return partition and key of a group; groups are few beside candidates, so they are remembered."""
        place = self._places.get((trigger, group_key))
        if place is None:
            key = f"{trigger}{KEY_SEPARATOR}{group_key}".encode()
            place = shard(key, self._topics.candidates.partitions), key
            if len(self._places) >= _PLACES_MAX:
                self._places.clear()
            self._places[trigger, group_key] = place
        return place

    def marks(self, mark: Mark) -> list[Row]:
        """Return the mark for every candidates partition."""
        topic = self._topics.candidates
        value = self._encode(
            Candidate(
                id=derived_id("mark", self._partition, mark.events_offset, mark.triggers_offset),
                event=MARK,
                kind=MARK_KIND,
                trigger="",
                group_key="",
                event_id=None,
                events_partition=self._partition,
                events_offset=mark.events_offset,
                triggers_offset=mark.triggers_offset,
                outcome="new",
            )
        )
        return [Row(topic.name, partition, _MARK_KEY, value) for partition in range(topic.partitions)]

    def dead_letter(self, record: Stored, *, reason: str, problem: str) -> Row:
        """Return the dead letter of a record that cannot be routed: the same bytes whenever it is read."""
        problem = problem.encode("utf-8", "replace").decode()  # it may quote what is no text
        source, topic = self._topics.events.name, self._topics.dead_letters
        number = derived_id("dead-letter", source, self._partition, record.offset, "router")
        value = self._encode(
            DeadLetter(
                id=number,
                event="ensue.dead_letter",
                stage="router",
                reason=reason,
                error=f"{source}[{self._partition}]@{record.offset} is not routed: {problem}. "
                "The events after it are; mend the bytes and retry the dead letter, or drop it",
                raw=(record.value or b"")[:RAW_BYTES_MAX],
                headers="{}",
                at=record.timestamp_ms * 1000,
                source=source,
                from_topic=source,
                from_partition=self._partition,
                from_offset=record.offset,
            )
        )
        key = number.encode()
        return Row(topic.name, shard(key, topic.partitions), key, value)
