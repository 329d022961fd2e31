"""The event log over the Kafka producer."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from streams.errors import Overload
from streams.gateway.ports import Row
from streams.kafka.completion import Outcome
from streams.kafka.record import Delivery, Outgoing

_log = logging.getLogger(__name__)
_SLICE_ROWS = 500  # handed over at once; others may use the loop in between


class BatchProducer(Protocol):
    """What the log needs of `streams.kafka.producer.EventProducer`, or of the one in memory."""

    async def send_batch(self, records: Sequence[Outgoing]) -> list[Outcome]:
        """Write records together; raises Overload, then none was taken."""
        ...


class KafkaEventLog:
    """Writes rows with acks=all, in their order."""

    def __init__(self, producer: BatchProducer) -> None:
        self._producer = producer

    async def append(self, topic: str, rows: Sequence[Row]) -> Sequence[int]:
        """Return the indices of rows that were not acknowledged; raises Overload when none was taken."""
        if len(rows) <= _SLICE_ROWS:
            return _failed(await self._producer.send_batch([Outgoing(topic, *row) for row in rows]))
        waiting: list[asyncio.Task[list[Outcome]]] = []
        try:
            for start in range(0, len(rows), _SLICE_ROWS):
                part = [Outgoing(topic, *row) for row in rows[start : start + _SLICE_ROWS]]
                waiting.append(asyncio.ensure_future(self._producer.send_batch(part)))
                await asyncio.sleep(0)  # the task runs up to its wait now, so parts keep their order
            parts = await asyncio.gather(*waiting, return_exceptions=True)
        finally:
            for task in waiting:
                task.cancel()
        return _failed_in_parts(parts, rows)


def _failed(outcomes: Sequence[Outcome]) -> list[int]:
    failed = [at for at, outcome in enumerate(outcomes) if type(outcome) is not Delivery]
    if failed:
        _log.warning(
            "%d of %d rows were not acknowledged: %s", len(failed), len(outcomes), outcomes[failed[0]]
        )
    return failed


def _failed_in_parts(parts: Sequence[list[Outcome] | BaseException], rows: Sequence[Row]) -> list[int]:
    refused = [part for part in parts if isinstance(part, BaseException)]
    if len(refused) == len(parts):
        raise refused[0]
    failed: list[int] = []
    for number, part in enumerate(parts):
        start = number * _SLICE_ROWS
        if isinstance(part, Overload):
            failed.extend(range(start, min(start + _SLICE_ROWS, len(rows))))
        elif isinstance(part, BaseException):
            raise part
        else:
            failed.extend(start + at for at in _failed(part))
    return failed
