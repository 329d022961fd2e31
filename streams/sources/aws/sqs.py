"""Sources of kind `sqs`: a queue with bucket notifications, consumed directly.

A message leaves the queue after its events (or its dead letter) are acknowledged, never before. Whatever
happens in between, the queue gives it again, and the same change has the same id.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from schemas.event import Event
from streams.errors import BadInput, EnsueError, Poison, Transport
from streams.source_settings import SqsSource
from streams.sources.aws.queue_client import Queue, SqsQueue, in_thread
from streams.sources.aws.sqs_message import body_events
from streams.sources.ports import Publisher

_log = logging.getLogger(__name__)
_RETRY_S, _RETRY_MAX_S = 0.5, 30.0


class SqsWatch:
    """Takes messages from one queue until cancelled.

    Args:
        name: The source's name.
        settings: Which queue.
        publisher: Where events go.
        queue: Another queue than Amazon's.

    Raises BadInput when boto3 is not installed.

    """

    def __init__(
        self,
        name: str,
        settings: SqsSource,
        *,
        publisher: Publisher,
        queue: Callable[[], Queue] | None = None,
    ) -> None:
        self._name = name
        self._publisher = publisher
        if queue is None and find_spec("boto3") is None:
            raise BadInput(f"source {name}: kind sqs needs boto3; install ensue[aws]")
        self._make = queue or (lambda: SqsQueue(name, settings))

    async def run(self) -> None:
        """Take messages until cancelled; a queue or a broker that is away is waited for."""
        queue = await in_thread(self._make)
        wait_s = _RETRY_S
        while True:
            try:
                messages = await in_thread(queue.receive)
                wait_s = _RETRY_S
            except Transport as error:
                _log.warning("source %s: %s; asking again in %.1f s", self._name, error, wait_s)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, _RETRY_MAX_S)
                continue
            if messages:
                await self._take(queue, messages)

    async def _take(self, queue: Queue, messages: Sequence[Mapping[str, Any]]) -> None:
        """Publish what messages say, then take them out of the queue."""
        events: list[Event] = []
        unusable: list[tuple[bytes, str, str]] = []
        for message in messages:
            body = str(message.get("Body", ""))
            raw = body.encode("utf-8", "surrogatepass")
            try:
                taken = body_events(body, self._name)
            except Poison as poison:
                unusable.append((raw, poison.reason, str(poison)))
                continue
            events += taken.events
            if taken.unusable:
                unusable.append((raw, "unusable_record", "; ".join(taken.unusable)[:2000]))
        if events:
            await self._until_acknowledged(lambda: self._publisher.publish(events), len(messages))
        for raw, reason, told in unusable:
            error = f"source {self._name}: {told}"

            async def bury(raw: bytes = raw, reason: str = reason, error: str = error) -> None:
                await self._publisher.bury(raw, source=self._name, reason=reason, error=error)

            await self._until_acknowledged(bury, 1)
        await self._delete(queue, [str(message["ReceiptHandle"]) for message in messages])

    async def _until_acknowledged(self, write: Callable[[], Any], messages: int) -> None:
        """Write until it is acknowledged; the queue may give the messages again meanwhile."""
        wait_s = _RETRY_S
        while True:
            try:
                await write()
            except EnsueError as error:
                _log.warning("source %s: %d messages wait: %s", self._name, messages, error)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, _RETRY_MAX_S)
            else:
                return

    async def _delete(self, queue: Queue, receipts: Sequence[str]) -> None:
        """Take messages out; one that stays is given again and changes nothing."""
        try:
            kept = await in_thread(lambda: queue.delete(receipts))
        except Transport as error:
            _log.warning("source %s: %s; the messages come again, and count once", self._name, error)
            return
        if kept:
            _log.warning("source %s: %d messages could not be deleted and come again", self._name, kept)
