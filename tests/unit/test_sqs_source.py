"""Amazon SQS: what messages say, and when they leave the queue. A real queue is tested with moto."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from schemas.event import Event
from streams.errors import Overload, Transport
from streams.source_settings import SqsSource
from streams.sources.aws.queue_client import in_thread
from streams.sources.aws.sqs import SqsWatch
from tests.source_case import SourceCase
from tests.unit.test_eventbridge_source import event
from tests.unit.test_s3_records import record
from tests.unit.test_sns_source import notification

pytestmark = pytest.mark.unit
RECORDS = json.dumps({"Records": [record(key="a+b.csv")]})
TEST = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"})
SETTINGS = SqsSource(kind="sqs", queue_url="https://sqs.eu-west-1.amazonaws.com/1/q")


@pytest.mark.parametrize(
    "body",
    [
        json.loads(RECORDS),
        notification(RECORDS),
        {"Messages": [{"MessageId": "1", "ReceiptHandle": "r", "Body": RECORDS}]},
        {"MessageId": "1", "ReceiptHandle": "r", "Body": json.dumps(notification(RECORDS))},
        {"Records": [{"messageId": "1", "body": RECORDS, "eventSource": "aws:sqs"}]},
    ],
)
async def test_every_envelope_of_a_message_is_opened(body: object) -> None:
    """A body as it is, out of SNS's envelope, ReceiveMessage's answer, one message, Lambda's records."""
    case = SourceCase("sqs")
    assert (await case.send(body, {"content-type": "text/plain"})).status_code == 202
    assert (case.only().event, case.only().resource["key"]) == ("storage.object.created", "a b.csv")


async def test_eventbridge_through_a_queue_and_amazons_test() -> None:
    """Both are read; the test gives nothing."""
    case = SourceCase("sqs")
    await case.send({"Messages": [{"Body": json.dumps(event())}, {"Body": TEST}, {"Body": "{"}, {}, 7]})
    assert case.only().resource["key"] == "example-key"
    assert case.reasons() == ["unusable_record"]
    (letter,) = case.gateway.log.dead_letters()
    assert all(f"message {at}" in letter.error for at in (2, 3, 4))


class Queue:
    """A queue that gives its messages again until they are deleted; calls of a name fail so often first."""

    def __init__(self, *bodies: str, failing: dict[str, int] | None = None) -> None:
        self.left = {f"r{at}": body for at, body in enumerate(bodies)}
        self.failing = failing or {}

    def receive(self) -> Sequence[Mapping[str, Any]]:
        """Give what is left."""
        self._call("receive")
        return [{"ReceiptHandle": receipt, "Body": body} for receipt, body in self.left.items()]

    def delete(self, receipts: Sequence[str]) -> int:
        """Forget them."""
        self._call("delete")
        for receipt in receipts:
            self.left.pop(receipt, None)
        return 0

    def _call(self, name: str) -> None:
        if self.failing.get(name):
            self.failing[name] -= 1
            raise Transport("the queue does not answer")


class Published:
    """Keeps what is acknowledged; refuses `away` times before; sees what the queue holds at that moment."""

    def __init__(self, queue: Queue, away: int = 0) -> None:
        self.queue, self.away = queue, away
        self.events: list[Event] = []
        self.buried: list[tuple[bytes, str]] = []
        self.held: list[int] = []

    async def publish(self, events: Sequence[Event]) -> None:
        """Keep them."""
        self._refuse()
        self.events += events

    async def bury(self, raw: bytes, *, source: str, reason: str, error: str, **_: Any) -> str:
        """Keep it."""
        self._refuse()
        self.buried.append((raw, reason))
        return ""

    def _refuse(self) -> None:
        self.held.append(len(self.queue.left))
        if self.away:
            self.away -= 1
            raise Overload("too much") if self.away % 2 else Transport("Kafka is away")


async def run(queue: Queue, published: Published) -> None:
    """Watch until the queue is empty."""
    watch = asyncio.create_task(SqsWatch("q", SETTINGS, publisher=published, queue=lambda: queue).run())
    for _ in range(2000):
        if not queue.left:
            break
        await asyncio.sleep(0.01)
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    assert not queue.left


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.sources.aws.sqs._RETRY_S", 0.01)


async def test_messages_leave_the_queue_after_events_and_dead_letters_are_acknowledged() -> None:
    """While anything is unacknowledged, all messages are still in the queue; then none is."""
    partly = json.dumps({"Records": [record(key="c"), {}]})
    queue = Queue(RECORDS, "no json", TEST, partly, '{"\\ud800": 1}')
    published = Published(queue, away=3)
    await run(queue, published)
    assert [found.resource["key"] for found in published.events] == ["a b.csv", "c"]
    assert [reason for _, reason in published.buried] == [
        "malformed_json",
        "unusable_record",
        "malformed_json",
    ]
    assert set(published.held) == {5}
    assert published.away == 0


async def test_a_queue_that_is_away_is_asked_again() -> None:
    """Failures to receive cost time only; after a failure to delete, the same ids come again."""
    queue = Queue(RECORDS, failing={"receive": 3, "delete": 1})
    published = Published(queue)
    await run(queue, published)
    assert len(published.events) == 2
    assert len({found.id for found in published.events}) == 1


async def test_cancelling_does_not_wait_for_a_poll() -> None:
    """A long poll is left behind; whoever stops the gateway does not wait for it."""
    from threading import Event as Flag

    held = Flag()
    task = asyncio.create_task(in_thread(held.wait))
    await asyncio.sleep(0.05)
    task.cancel()
    async with asyncio.timeout(1):
        await asyncio.gather(task, return_exceptions=True)
    held.set()
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)
    assert await in_thread(lambda: 7) == 7
