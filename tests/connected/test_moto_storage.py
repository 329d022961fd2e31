"""S3 → SQS → here and S3 → SNS → HTTP → here, with moto's server as Amazon.

moto signs its notifications with keys of its own and serves their certificates; its certificates lie under
Amazon's address, so the gateway's outbound is turned to moto here. Everything else is as in production.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from schemas.codec import fixed_codec
from schemas.event import Event
from schemas.event_record import to_event
from streams.gateway.intake import Intake
from streams.gateway.server import serve
from streams.settings import Settings
from streams.source_settings import SqsSource
from streams.sources.aws.sqs import SqsWatch
from streams.sources.kinds import hook_source
from streams.sources.trust import Trust
from tests.connected.system import System
from tests.gateway_case import ListLog, View
from tests.odd_objects import odd_keys

pytestmark = [pytest.mark.connected, pytest.mark.timeout(180)]
REGION = "us-east-1"
OBJECTS = 1000


@pytest.fixture
def amazon(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of moto; credentials that anybody may know."""
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ):
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    httpx.post(f"{address}/moto-api/reset", timeout=30)  # what it holds outlives its servers
    yield address
    server.stop()


def client(amazon: str, service: str) -> Any:
    """A client of one of moto's services."""
    return boto3.client(service, endpoint_url=amazon, region_name=REGION)


class FromMoto:
    """Implements the gateway's port `Outbound`: certificates of SNS as moto serves them."""

    def __init__(self, amazon: str) -> None:
        self._amazon = amazon
        self.asked: list[str] = []

    async def get(self, url: str) -> bytes:
        """Ask moto, which tells its services apart by what a request is signed for."""
        self.asked.append(url)
        signed_for = f"AWS4-HMAC-SHA256 Credential=testing/20260101/{REGION}/sns/aws4_request, Signature=0"
        async with httpx.AsyncClient(timeout=30) as http:
            address = f"{self._amazon}{urlsplit(url).path}"
            answer = await http.get(address, headers={"authorization": signed_for})
        assert answer.status_code == 200, answer.text
        return answer.content

    async def confirm(self, url: str) -> None:
        """Nobody asks for it."""
        raise AssertionError(url)


@asynccontextmanager
async def gateway(amazon: str, *, topic: str = "") -> AsyncIterator[tuple[str, Intake, ListLog, FromMoto]]:
    """A gateway on a port of its own with a source `sns`, and its intake for what watches."""
    log, outbound, stop = ListLog(), FromMoto(amazon), asyncio.Event()
    listening: asyncio.Future[tuple[int, Intake]] = asyncio.get_running_loop().create_future()
    trust = Trust(topic_arns=frozenset({topic}) if topic else frozenset())
    task = asyncio.create_task(
        serve(
            Settings(port=0),
            log=log,
            codec=fixed_codec(),
            probe=View(),
            lag=View(),
            hooks={"sns": hook_source("sns", "sns", lambda: trust)},
            outbound=outbound,
            on_listening=lambda port, intake: listening.set_result((port, intake)),
            stop=stop,
        )
    )
    port, intake = await listening
    try:
        yield f"http://127.0.0.1:{port}/hooks/sns", intake, log, outbound
    finally:
        stop.set()
        await task


def storage_events_of(log: ListLog) -> list[Event]:
    """What buckets reported, without the gateway's own canary."""
    events = [to_event(record) for record in log.events()]
    return [event for event in events if event.event.startswith("storage.")]


async def settled(log: ListLog, count: int) -> list[Event]:
    """The events once there are so many, and a moment has shown no more."""
    for _ in range(600):
        if len(storage_events_of(log)) >= count:
            break
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.5)
    return storage_events_of(log)


def put(amazon: str, keys: Sequence[str]) -> None:
    """Put objects of three bytes into the bucket."""
    s3 = client(amazon, "s3")
    for key in keys:
        s3.put_object(Bucket="inbox", Key=key, Body=b"abc")


def bucket_into(amazon: str, **target: str) -> None:
    """Make the bucket report into a queue or a topic."""
    s3 = client(amazon, "s3")
    s3.create_bucket(Bucket="inbox")
    name, arn = next(iter(target.items()))
    rule = {f"{name}Arn": arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}
    s3.put_bucket_notification_configuration(
        Bucket="inbox", NotificationConfiguration={f"{name}Configurations": [rule]}
    )


async def test_a_thousand_objects_by_a_queue(amazon: str) -> None:
    """1,000 objects with odd names are 1,000 events with exact keys, and the queue is empty then."""
    sqs = client(amazon, "sqs")
    url = sqs.create_queue(QueueName="changes")["QueueUrl"]
    asked = {"QueueUrl": url, "AttributeNames": ["All"]}
    arn = sqs.get_queue_attributes(**asked)["Attributes"]["QueueArn"]
    bucket_into(amazon, Queue=arn)
    sqs.send_message(QueueUrl=url, MessageBody="no notification")
    keys = odd_keys(OBJECTS)
    async with gateway(amazon) as (_, intake, log, _outbound):
        settings = SqsSource(kind="sqs", queue_url=url, endpoint_url=amazon, region=REGION, wait_s=1)
        watch = asyncio.create_task(SqsWatch("queue", settings, publisher=intake).run())
        await asyncio.to_thread(put, amazon, keys)
        events = await settled(log, OBJECTS)
        await asyncio.to_thread(lambda: client(amazon, "s3").delete_object(Bucket="inbox", Key=keys[1]))
        removed = (await settled(log, OBJECTS + 1))[-1]
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        (letter,) = log.dead_letters()
    assert sorted(event.resource["key"] for event in events) == sorted(keys)
    assert len({event.id for event in events}) == OBJECTS
    assert {event.resource_id for event in events} == {f"s3://inbox/{key}" for key in keys}
    assert {(event.event, event.source) for event in events} == {("storage.object.created", "queue")}
    assert (removed.event, removed.resource["key"]) == ("storage.object.deleted", keys[1])
    assert (letter.raw, letter.reason, letter.source) == (b"no notification", "malformed_json", "queue")
    left = sqs.get_queue_attributes(**asked)["Attributes"]
    assert (left["ApproximateNumberOfMessages"], left["ApproximateNumberOfMessagesNotVisible"]) == ("0", "0")


FLOW = """
from flows import event_trigger, flow

@flow(on=event_trigger("storage.object.created"), parameters={"key": "{{ event.resource.key }}"})
def load(key):
    return key
"""


@pytest.mark.soak
@pytest.mark.timeout(420)
def test_each_object_starts_its_flow_once(amazon: str, tmp_path: Path) -> None:
    """1,000 objects in a bucket of the whole system: 1,000 events in SQL, 1,000 runs, one for each key."""
    sqs = client(amazon, "sqs")
    url = sqs.create_queue(QueueName="changes")["QueueUrl"]
    asked = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    bucket_into(amazon, Queue=asked["Attributes"]["QueueArn"])
    source = {"KIND": "sqs", "QUEUE_URL": url, "ENDPOINT_URL": amazon, "REGION": REGION, "WAIT_S": "1"}
    env = {f"ENSUE_SOURCES__UPLOADS__{name}": value for name, value in source.items()}
    keys = odd_keys(OBJECTS)
    with System(tmp_path, FLOW, env=env) as system:
        put(amazon, keys)
        done = "SELECT count() FROM runs WHERE state = 'succeeded'"
        assert system.wait_count(done, OBJECTS, 240) == OBJECTS, system.log("gateway")
        stored = system.sql("SELECT resource['key'] AS key FROM events WHERE source = 'uploads'")
        assert sorted(row["key"] for row in stored) == sorted(keys)
        results = system.sql("SELECT result FROM runs")
        assert sorted(json.loads(row["result"]) for row in results) == sorted(keys)


async def test_objects_by_a_topic_over_http(amazon: str) -> None:
    """Signatures of moto are good for a listed topic; 100 objects with odd names, 100 events, exact keys."""
    topic = client(amazon, "sns").create_topic(Name="changes")["TopicArn"]
    keys = odd_keys(100)
    async with gateway(amazon, topic=topic) as (url, _, log, outbound):
        await asyncio.to_thread(
            lambda: client(amazon, "sns").subscribe(TopicArn=topic, Protocol="http", Endpoint=url)
        )
        await asyncio.to_thread(bucket_into, amazon, Topic=topic)
        await asyncio.to_thread(put, amazon, keys)
        events = await settled(log, len(keys))
        assert log.dead_letters() == []
    assert sorted(event.resource["key"] for event in events) == sorted(keys)
    assert len({event.id for event in events}) == len(keys)
    assert len(outbound.asked) >= len(keys)  # moto makes a certificate for each message


async def test_a_topic_that_is_not_listed_reaches_nothing(amazon: str) -> None:
    """The same with another topic on the list: nothing is stored, and no certificate is asked for."""
    topic = client(amazon, "sns").create_topic(Name="changes")["TopicArn"]
    async with gateway(amazon, topic=f"{topic}-other") as (url, _, log, outbound):
        await asyncio.to_thread(
            lambda: client(amazon, "sns").subscribe(TopicArn=topic, Protocol="http", Endpoint=url)
        )
        message = json.dumps({"Records": []})
        await asyncio.to_thread(lambda: client(amazon, "sns").publish(TopicArn=topic, Message=message))
        await asyncio.sleep(0.5)
        assert (storage_events_of(log), log.dead_letters(), outbound.asked) == ([], [], [])
