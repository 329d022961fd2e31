"""Amazon SQS as far as we use it, over boto3, which is an extra."""

import asyncio
import contextlib
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from streams.errors import BadInput, Transport
from streams.source_settings import SqsSource

_AT_ONCE_MAX = 10  # SQS gives and takes no more at a time
_CONNECT_S = 5.0
_ANSWER_S = 10.0
_REGION = re.compile(r"https://(?:[a-z0-9-]+\.)*sqs\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/")
Result = TypeVar("Result")


class Queue(Protocol):
    """A queue; calls wait, so they are made in threads. Raises Transport."""

    def receive(self) -> Sequence[Mapping[str, Any]]:
        """Return some messages, none when none came while we waited."""
        ...

    def delete(self, receipts: Sequence[str]) -> int:
        """Take messages out for good, 10 at most; return how many could not be."""
        ...


class SqsQueue:
    """Implements `Queue`.

    Raises BadInput when no region is known.
    """

    def __init__(self, name: str, settings: SqsSource) -> None:
        import boto3
        import botocore.exceptions
        from botocore.config import Config

        self._faults: tuple[type[Exception], ...] = (
            botocore.exceptions.BotoCoreError,
            botocore.exceptions.ClientError,
        )
        self._url = settings.queue_url
        self._wait_s = settings.wait_s
        found = _REGION.match(settings.queue_url)
        try:
            self._sqs: Any = boto3.session.Session().client(
                "sqs",
                region_name=settings.region or (found[1] if found else None),
                endpoint_url=settings.endpoint_url,
                config=Config(
                    connect_timeout=_CONNECT_S,
                    read_timeout=settings.wait_s + _ANSWER_S,
                    retries={"total_max_attempts": 1},  # whoever calls us tries again, and says so
                ),
            )
        except (*self._faults, ValueError) as error:
            raise BadInput(f"source {name}: {error}") from None

    def receive(self) -> Sequence[Mapping[str, Any]]:
        """As the port says."""
        answer = self._asked(
            lambda: self._sqs.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=_AT_ONCE_MAX, WaitTimeSeconds=self._wait_s
            )
        )
        found: Sequence[Mapping[str, Any]] = answer.get("Messages", ())
        return found

    def delete(self, receipts: Sequence[str]) -> int:
        """As the port says."""
        entries = [{"Id": str(at), "ReceiptHandle": text} for at, text in enumerate(receipts)]
        answer = self._asked(lambda: self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries))
        return len(answer.get("Failed", ()))

    def waiting(self) -> int:
        """Return about how many messages wait; raises Transport."""
        names = ["ApproximateNumberOfMessages"]
        answer = self._asked(lambda: self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=names))
        return int(answer["Attributes"][names[0]])

    def _asked(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except self._faults as error:
            raise Transport(f"the queue {self._url[:200]} refuses or does not answer: {error}") from None


async def in_thread(call: Callable[[], Result]) -> Result:
    """Return what a call returns that may wait long; cancelling it leaves the thread behind.

    The pool of asyncio.to_thread is waited for at the end of a process, a poll of 20 s is not.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def settle(result: Result | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result: Result | None = None
        error: BaseException | None = None
        try:
            result = call()
        except Exception as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, name="queue", daemon=True).start()
    return await done
