"""Rows into Kafka, and no answer before the acknowledgement."""

from collections.abc import Sequence

from schemas.codec import Codec
from schemas.dead_letter import Reason
from schemas.event import Event
from schemas.event_record import as_posted
from schemas.shard import shard
from schemas.topics import Topics
from streams.clock import Clock, SystemClock
from streams.errors import Overload, Transport
from streams.gateway.dead_letter import dead_letter
from streams.gateway.gathered_log import GatheredLog
from streams.gateway.item import ItemRefused, Writer
from streams.gateway.metrics import Metrics
from streams.gateway.parse import Batch
from streams.gateway.ports import EventLog, Row
from streams.gateway.problem import unavailable
from streams.strict_json import dumps


class Intake:
    """The one place through which everything that comes in is written.

    HTTP handlers and sources that watch by themselves share it; `publish` is the sources' side.
    """

    def __init__(
        self,
        log: EventLog,
        codec: Codec,
        topics: Topics,
        writer: Writer,
        metrics: Metrics,
        *,
        ack_timeout_s: float,
        clock: Clock | None = None,
    ) -> None:
        self._log = GatheredLog(log, ack_timeout_s=ack_timeout_s)
        self._codec = codec
        self._topics = topics
        self._writer = writer
        self._metrics = metrics
        self._clock = clock or SystemClock()

    async def accept(self, batch: Batch) -> None:
        """Return once all rows are acknowledged; raises Problem 503 with the assigned ids otherwise."""
        try:
            failed = await self._log.append(self._topics.events.name, batch.rows)
        except Overload as overload:
            self._metrics.refused_rows += len(batch.rows)
            raise unavailable(
                "overload",
                "Too much is on its way to Kafka; nothing was taken. Send the same again.",
                ids=batch.ids,
                retry_after_s=overload.retry_after_s,
            ) from None
        except Transport:
            self._metrics.unacknowledged_rows += len(batch.rows)
            raise unavailable(
                "not-acknowledged",
                "Kafka did not acknowledge in time, so it is not known what was written. Send the same again "
                "with these ids or the same Idempotency-Key: nothing is counted twice.",
                ids=batch.ids,
            ) from None
        if failed:
            self._metrics.unacknowledged_rows += len(failed)
            raise unavailable(
                "not-acknowledged",
                f"Kafka acknowledged {len(batch.rows) - len(failed)} of {len(batch.rows)} events. Send all "
                "again with these ids or the same Idempotency-Key: nothing is counted twice.",
                ids=batch.ids,
            )
        self._metrics.accepted_rows += len(batch.rows)

    async def publish(self, events: Sequence[Event]) -> None:
        """Write events that a source made, in order; raises Overload or Transport: then send all again."""
        fitting, misfits = self.sorted_out(events)
        for event, text in misfits:
            raw = dumps(as_posted(event))
            await self.bury(raw, source=event.source, reason=Reason.WRONG_PAYLOAD, error=text)
        await self.write(fitting)

    async def write(self, events: Sequence[Event]) -> None:
        """Write events that were sorted out before, as `publish` does."""
        rows: list[Row] = []
        received_us = self._clock.now_us()
        for event in events:
            try:
                # `occurred` is a stranger's clock; when a source spoke last is told by ours.
                rows.append(self._writer.row_of(event, received_us=received_us))
            except ItemRefused as refused:
                text = f"{event.event} of {event.resource_id[:200]} (id {event.id}): {refused.reason}"
                raw = event.resource_id.encode()
                await self.bury(raw, source=event.source, reason=refused.letter, error=text)
        if not rows:
            return
        failed = await self._log.append(self._topics.events.name, rows)
        if failed:
            self._metrics.unacknowledged_rows += len(failed)
            raise Transport(f"{len(failed)} of {len(rows)} events were not acknowledged; send all again")
        self._metrics.accepted_rows += len(rows)

    def sorted_out(self, events: Sequence[Event]) -> tuple[list[Event], list[tuple[Event, str]]]:
        """Return the events whose payloads fit their schemas, and the others with field and reason."""
        fitting: list[Event] = []
        misfits: list[tuple[Event, str]] = []
        for event in events:
            try:
                self._writer.check_payload(event)
            except ItemRefused as refused:
                who = f"{event.event} of {event.resource_id[:200]} (id {event.id})"
                misfits.append((event, f"{who}: {refused.field}: {refused.reason}"))
            else:
                fitting.append(event)
        return fitting, misfits

    async def bury(
        self,
        raw: bytes,
        *,
        source: str,
        reason: str,
        error: str,
        headers: str = "{}",
        place: tuple[str, int, int] | None = None,
    ) -> str:
        """Keep unusable input whole in the dead letters; return its id once acknowledged."""
        letter = dead_letter(raw, source=source, reason=reason, error=error, headers=headers, place=place)
        topic = self._topics.dead_letters
        row = (shard(letter.id, topic.partitions), letter.id.encode(), self._codec.encode(letter))
        if await self._log.append(topic.name, [row]):
            raise Transport(f"the dead letter {letter.id} was not acknowledged; send it again")
        self._metrics.dead_letters += 1
        return letter.id

    async def republish(self, topic: str, row: Row) -> None:
        """Write a record once more as it lay in a topic; raises Overload or Transport."""
        if await self._log.append(topic, [row]):
            raise Transport(f"the record was not acknowledged by {topic}; try again")
