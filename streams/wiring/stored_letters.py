"""Dead letters for the gateway's desk: from the store, and their records from Kafka."""

import asyncio
import base64
import json
import time
from datetime import datetime

from streams.errors import BadInput, Transport
from streams.gateway.letter_desk import Letter
from streams.gateway.ports import Row
from streams.kafka.consumer import LogReader
from streams.settings import KafkaSettings
from streams.store.queries.dead_letters import find_dead_letter
from streams.store.queries.reader import StoreReader

_READ_WITHIN_S = 10.0


class StoredLetters:
    """Implements the gateway's port `Letters`."""

    def __init__(self, store: StoreReader, kafka: KafkaSettings) -> None:
        self._store = store
        self._kafka = kafka

    async def find(self, letter_id: str) -> Letter | None:
        """As the port says."""
        row = await asyncio.to_thread(find_dead_letter, self._store, letter_id)
        if row is None:
            return None
        headers = row["headers"] if isinstance(row["headers"], dict) else json.loads(row["headers"] or "{}")
        edited = row["edited_b64"]
        return Letter(
            id=row["id"],
            stage=row["stage"],
            reason=row["reason"],
            source=row["source"],
            raw=base64.b64decode(row["raw_b64"]),
            headers={str(name): str(value) for name, value in headers.items()},
            at_s=datetime.fromisoformat(row["at"]).timestamp(),
            edited=None if edited is None else base64.b64decode(edited),
            from_topic=row["from_topic"],
            from_partition=row["from_partition"],
            from_offset=row["from_offset"],
        )

    async def original(self, topic: str, partition: int, offset: int) -> Row:
        """As the port says."""
        return await asyncio.to_thread(self._original, topic, partition, offset)

    def _original(self, topic: str, partition: int, offset: int) -> Row:
        with LogReader(self._kafka, client_id="ensue-dead-letters") as reader:
            first, end = reader.watermarks(topic, partition)
            if not first <= offset < end:
                raise BadInput(f"{topic}[{partition}] does not hold offset {offset} any more")
            reader.assign({(topic, partition): offset})
            deadline_s = time.monotonic() + _READ_WITHIN_S
            while time.monotonic() < deadline_s:
                for record in reader.consume(1, 0.5):
                    if record.offset != offset or record.value is None:
                        raise BadInput(f"{topic}[{partition}] does not hold offset {offset} any more")
                    return partition, record.key or b"", record.value
        raise Transport(f"{topic}[{partition}] was not read at {offset} in time; try again")
