"""The event log over the Kafka producer."""

import asyncio
from collections.abc import Sequence

from streams.errors import Overload, Poison
from streams.gateway.ports import Row
from streams.kafka.completion import Outcome
from streams.kafka.producer import EventProducer
from streams.kafka.record import Delivery, Outgoing

_SLICE_ROWS = 500  # handed over at once; others may use the loop in between


class KafkaEventLog:
    """Writes rows with acks=all, in their order."""

    def __init__(self, producer: EventProducer) -> None:
        self._producer = producer

    async def append(self, topic: str, rows: Sequence[Row]) -> Sequence[int]:
        """Return the indices of rows that were not acknowledged.

        Raises Overload when none was taken, Poison when Kafka can never take one of them.
        """
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
    for at in failed:
        outcome = outcomes[at]
        if isinstance(outcome, Poison):
            raise outcome
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
