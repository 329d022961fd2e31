"""A real MinIO pushes by webhook and by Kafka.

`make minio` builds it (the build is long), or it is on PATH; without it this is skipped, and it runs with the
soak suites.
"""

import asyncio
import os
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from schemas.codec import fixed_codec
from schemas.event import Event
from schemas.event_record import to_event
from schemas.topics import Topic
from streams.gateway.intake import Intake
from streams.gateway.server import serve
from streams.kafka.admin import ensure_topics
from streams.local.ports import choose_port
from streams.settings import KafkaSettings, RegistrySettings, Settings
from streams.source_settings import KafkaSource
from streams.sources.kafka_report import TopicReports
from streams.sources.kinds import hook_source
from streams.sources.trust import Trust
from streams.wiring.kafka_source import kafka_watch
from tests.gateway_case import ListLog, View
from tests.odd_objects import odd_keys
from tests.support import service_missing

pytestmark = [pytest.mark.connected, pytest.mark.soak, pytest.mark.timeout(300)]
OBJECTS = 1000
SECRET = "secret-of-minio"


def minio_binary() -> str:
    """Where MinIO is; skips when it is nowhere."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found = shutil.which("minio") or shutil.which(str(cache / "ensue" / "minio" / "minio"))
    if found is None:
        service_missing("no minio: run `make minio`, or put it on PATH")
    return found


class MinIO:
    """A server of its own that reports into a webhook and a topic."""

    def __init__(self, folder: Path, *, webhook: str, kafka: str, topic: str) -> None:
        self.url = f"http://127.0.0.1:{choose_port()}"
        settings = {
            "MINIO_ROOT_USER": "testing",
            "MINIO_ROOT_PASSWORD": "testing-testing",
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
            "MINIO_NOTIFY_WEBHOOK_ENABLE_W1": "on",
            "MINIO_NOTIFY_WEBHOOK_ENDPOINT_W1": webhook,
            "MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_W1": SECRET,
            "MINIO_NOTIFY_WEBHOOK_QUEUE_DIR_W1": str(folder / "webhook"),
            "MINIO_NOTIFY_KAFKA_ENABLE_K1": "on",
            "MINIO_NOTIFY_KAFKA_BROKERS_K1": kafka,
            "MINIO_NOTIFY_KAFKA_TOPIC_K1": topic,
            "MINIO_NOTIFY_KAFKA_QUEUE_DIR_K1": str(folder / "kafka"),
        }
        self._log = (folder / "minio.log").open("wb")
        self._process = subprocess.Popen(
            [
                minio_binary(),
                "server",
                "--address",
                self.url.removeprefix("http://"),
                str(folder / "objects"),
            ],
            env={**os.environ, **settings},
            stdout=self._log,
            stderr=self._log,
        )
        self.s3: Any = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing-testing",
        )

    def ready(self) -> None:
        """Wait until it answers, then make a bucket that reports."""
        for _ in range(300):
            try:
                if httpx.get(f"{self.url}/minio/health/live").status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.1)
        self.s3.create_bucket(Bucket="inbox")
        events = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
        rules = [
            {"QueueArn": f"arn:minio:sqs::{name}", "Events": events} for name in ("W1:webhook", "K1:kafka")
        ]
        self.s3.put_bucket_notification_configuration(
            Bucket="inbox", NotificationConfiguration={"QueueConfigurations": rules}
        )

    def stop(self) -> None:
        """End it."""
        self.s3.close()
        self._process.terminate()
        self._process.wait(30)
        self._log.close()


@pytest.fixture
def topic(kafka: KafkaSettings) -> str:
    """A topic beside ours, as MinIO writes into it."""
    made = Topic(name=f"minio-{kafka.topic_prefix}raw", key="", schema="", partitions=2, config={})
    ensure_topics(kafka, [made])
    return made.name


@pytest.fixture
def port() -> int:
    """The gateway's port, known before it listens."""
    return choose_port()


async def test_a_thousand_objects_by_webhook_and_by_kafka(
    kafka: KafkaSettings, topic: str, port: int, tmp_path: Path
) -> None:
    """1,000 objects with odd names are 1,000 events with exact keys on both ways, with the same ids."""
    minio_binary()
    log, stop = ListLog(), asyncio.Event()
    intakes: asyncio.Future[Intake] = asyncio.get_running_loop().create_future()
    trust = Trust(secrets=(SECRET.encode(),))
    settings = Settings(port=port, kafka=kafka, registry=RegistrySettings(url=""))
    gateway = asyncio.create_task(
        serve(
            settings,
            log=log,
            codec=fixed_codec(),
            probe=View(),
            lag=View(),
            hooks={"bucket": hook_source("minio", "bucket", lambda: trust)},
            on_listening=lambda _port, intake: intakes.set_result(intake),
            stop=stop,
        )
    )
    intake = await intakes
    source = KafkaSource(kind="kafka", topic=topic)
    watch = asyncio.create_task(kafka_watch("raw", source, intake, settings, TopicReports()).run())
    minio = MinIO(
        tmp_path,
        webhook=f"http://127.0.0.1:{port}/hooks/bucket",
        kafka=kafka.bootstrap_servers,
        topic=topic,
    )
    keys = odd_keys(OBJECTS, as_files=True)
    try:
        await asyncio.to_thread(minio.ready)
        began_s = time.monotonic()
        await asyncio.to_thread(put, minio, keys)
        await asyncio.to_thread(minio.s3.delete_object, Bucket="inbox", Key=keys[1])
        events = await settled(log, 2 * (OBJECTS + 1))
        print(f"{OBJECTS} objects were reported twice {time.monotonic() - began_s:.1f} s after the first put")
        assert log.dead_letters() == []
    finally:
        await asyncio.to_thread(minio.stop)
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        stop.set()
        await gateway
    ids = {}
    for name in ("bucket", "raw"):
        found = [event for event in events if event.source == name]
        made = [event for event in found if event.event == "storage.object.created"]
        assert Counter(event.resource["key"] for event in made) == Counter(keys)
        assert {event.resource["provider"] for event in found} == {"minio"}
        assert [event.resource["key"] for event in found if event.event == "storage.object.deleted"] == [
            keys[1]
        ]
        ids[name] = {event.id for event in found}
    assert ids["bucket"] == ids["raw"]
    assert len(ids["raw"]) == OBJECTS + 1


def put(minio: MinIO, keys: list[str]) -> None:
    """Put objects of three bytes."""
    for key in keys:
        minio.s3.put_object(Bucket="inbox", Key=key, Body=b"abc")


async def settled(log: ListLog, count: int) -> list[Event]:
    """What the bucket reported, once it is so much and a moment has shown no more."""

    def reported() -> list[Event]:
        events = [to_event(record) for record in log.events()]
        return [event for event in events if event.event.startswith("storage.")]

    for _ in range(900):
        if len(reported()) >= count:
            break
        await asyncio.sleep(0.2)
    await asyncio.sleep(2)
    return reported()
