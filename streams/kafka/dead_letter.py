"""A record that cannot be used, as a dead letter: the same one whenever it is read again."""

from schemas.dead_letter import Stage
from schemas.identity import derived_id
from schemas.record import DeadLetter
from streams.kafka.log_record import LogRecord

RAW_BYTES_MAX = 7 << 20  # a dead letter is one Kafka message (8 MiB) too


def dead_letter(
    record: LogRecord, stage: Stage, *, reason: str, error: str, headers: str = "{}"
) -> DeadLetter:
    """Return the dead letter of `record` at `stage`; its id and time follow from the record's place.

    Args:
        record: What cannot be used.
        stage: Who cannot use it.
        reason: One of `schemas.dead_letter.Reason`.
        error: What happened, to which record, and what to do next; may quote what is no text.
        headers: JSON text, secrets removed.

    """
    return DeadLetter(
        id=derived_id("dead-letter", record.topic, record.partition, record.offset, stage),
        event="ensue.dead_letter",
        stage=stage,
        reason=reason,
        error=error.encode("utf-8", "replace").decode(),
        raw=(record.value or b"")[:RAW_BYTES_MAX],
        headers=headers,
        at=record.timestamp_ms * 1000,
        source=record.topic,
        from_topic=record.topic,
        from_partition=record.partition,
        from_offset=record.offset,
    )
