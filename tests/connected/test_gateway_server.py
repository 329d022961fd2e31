"""The gateway as it runs: its own process, real sockets, a real broker."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from confluent_kafka import Consumer, TopicPartition

from schemas.codec import peek
from schemas.shard import shard
from schemas.topics import topics
from streams.kafka.admin import ensure_topics, wait_ready
from streams.kafka.config import librdkafka_config
from streams.local.broker import LocalBroker
from streams.local.ports import choose_port
from streams.settings import KafkaSettings

pytestmark = pytest.mark.connected
NDJSON = {"content-type": "application/x-ndjson"}
JSON = {"content-type": "application/json"}
HEAD = b"POST /events HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
RSS_GROWTH_BYTES_MAX = 350 << 20  # 8 MiB of JSON become 25 times as many bytes of objects, one body at a time


@dataclass
class Running:
    """A gateway's process."""

    process: "subprocess.Popen[str]"
    port: int

    def post(self, content: bytes, headers: dict[str, str]) -> httpx.Response:
        """POST /events."""
        return httpx.post(
            f"http://127.0.0.1:{self.port}/events", content=content, headers=headers, timeout=60
        )

    def raw(self, data: bytes, timeout_s: float = 15.0) -> bytes:
        """Send bytes; return what comes back until the end or a first answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s) as sock:
            sock.sendall(data)
            return sock.recv(65536)

    def rss(self) -> int:
        """Memory in bytes."""
        return int(psutil.Process(self.process.pid).memory_info().rss)


@contextmanager
def gateway(kafka: KafkaSettings) -> Iterator[Running]:
    """Run a gateway for a while."""
    ensure_topics(kafka, [topics(kafka.topic_prefix, kafka.partitions).events])
    script = Path(__file__).with_name("gateway_process.py")
    command = [sys.executable, str(script), kafka.bootstrap_servers, kafka.topic_prefix]
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        try:
            yield Running(process, int(process.stdout.readline()))
        finally:
            process.kill()


@pytest.fixture
def running(kafka: KafkaSettings) -> Iterator[Running]:
    """A gateway over the session's broker."""
    with gateway(kafka) as made:
        yield made


def stored(kafka: KafkaSettings) -> list[tuple[int, bytes, str]]:
    """Partition, key and event id of all records of the events topic, canaries left out."""
    topic = topics(kafka.topic_prefix, kafka.partitions).events
    consumer = Consumer(librdkafka_config(kafka, {"group.id": "reader", "enable.auto.commit": False}))
    found = []
    try:
        for partition in range(topic.partitions):
            place = TopicPartition(topic.name, partition)
            low, high = consumer.get_watermark_offsets(place, timeout=10)
            consumer.assign([TopicPartition(topic.name, partition, low)])
            at = low
            while at < high:
                for message in consumer.consume(5000, 0.2):
                    assert message.error() is None
                    at = message.offset() + 1
                    event_id, name = peek(message.value())
                    if name != "ensue.gateway.started":
                        found.append((partition, message.key(), event_id))
    finally:
        consumer.close()
    return found


_killed_s: list[float] = []


def _kill_when_writing(broker: LocalBroker, kafka: KafkaSettings) -> None:
    """Kill the broker as soon as part of the body is in the log."""
    topic = topics(kafka.topic_prefix, kafka.partitions).events
    consumer = Consumer(librdkafka_config(kafka, {"group.id": "watcher"}))
    places = [TopicPartition(topic.name, partition) for partition in range(topic.partitions)]
    while sum(consumer.get_watermark_offsets(place, timeout=10)[1] for place in places) < 1000:
        time.sleep(0.005)
    psutil.Process(broker.pid).kill()
    _killed_s.append(time.monotonic())
    consumer.close()


def event(number: int, **fields: object) -> bytes:
    """A small event."""
    return json.dumps({"event": "e", "resource": {"resource.id": f"r{number}"}, **fields}).encode()


def test_what_is_answered_202_is_in_kafka(kafka: KafkaSettings, running: Running) -> None:
    """After 202 every id is in its resource's partition, keyed by the resource."""
    answer = running.post(b"\n".join(event(number) for number in range(3000)), NDJSON)
    single = running.post(event(1), JSON)
    assert (answer.status_code, single.status_code) == (202, 202)
    records = stored(kafka)
    assert {event_id for _, _, event_id in records} == {*answer.json()["ids"], *single.json()["ids"]}
    assert all(partition == shard(key, kafka.partitions) for partition, key, _ in records)
    ready = httpx.get(f"http://127.0.0.1:{running.port}/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")


def test_hostile_bodies_cost_bounded_memory(running: Running) -> None:
    """Every kind of bad or huge body gets 4xx at once, and memory stays bounded over many of them."""
    line = b'{"event":"e","resource":{"resource.id":"r"}}'
    bodies = {
        "10 MB": (b" " * 10_000_000, JSON, 413),
        "8 MB of brackets": (b"[" + b"[]," * 2_700_000 + b"[]]", JSON, 400),
        "a number of 8 MB": (b"1" * 8_000_000, JSON, 400),
        "depth 1,000,000": (b"[" * 1_000_000, JSON, 400),
        "a million keys": (
            b'{"event":"e","p":{' + b",".join(b'"%d":1' % n for n in range(600_000)) + b"}}",
            JSON,
            413,
        ),
        "100,001 events": (b"\n".join([line] * 100_001), NDJSON, 413),
        "100,000 events, the last bad": (b"\n".join([line] * 99_999 + [b"{}"]), NDJSON, 422),
        "half of a body of lines": (b"\n".join([line] * 50_000)[:-3], NDJSON, 422),
    }
    assert running.post(line, JSON).status_code == 202
    before = running.rss()
    highest = before
    for _ in range(2):
        for name, (body, headers, status) in bodies.items():
            began_s = time.monotonic()
            answer = running.post(body, headers)
            assert (name, answer.status_code) == (name, status)
            assert time.monotonic() - began_s < 15
            highest = max(highest, running.rss())
    assert highest - before < RSS_GROWTH_BYTES_MAX
    print(f"rss {before >> 20} MB, highest {highest >> 20} MB")
    assert running.post(line, JSON).status_code == 202


def test_hostile_heads_are_refused(running: Running) -> None:
    """Too many or too long headers are 431; both lengths at once, or a broken request line, 400."""
    assert running.raw(HEAD + b"x: y\r\n" * 200 + b"\r\n").startswith(b"HTTP/1.1 431")
    assert running.raw(HEAD + b"x: " + b"y" * 40_000 + b"\r\n\r\n").startswith(b"HTTP/1.1 431")
    assert running.raw(HEAD + b"x: " + b"y" * 200_000).startswith(b"HTTP/1.1 431")
    smuggled = HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    assert running.raw(smuggled).startswith(b"HTTP/1.1 400")
    assert running.raw(b"NONSENSE\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert running.raw(b"GET /%ff%00 HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").startswith(b"HTTP/1.1 404")
    assert running.raw(b"GET /health/live HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 421")


def test_slow_senders_do_not_hold_others_up(running: Running) -> None:
    """200 connections never finish their head or body: others are served, the slow ones are ended."""
    slow = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(200)]
    for number, sock in enumerate(slow):
        sock.sendall(HEAD + (b"content-length: 100\r\n\r\n{" if number % 2 else b"x"))
    assert all(running.post(event(n), JSON).status_code == 202 for n in range(50))
    for number, sock in enumerate(slow):
        sock.settimeout(30)
        answer = sock.recv(1000)
        assert answer.startswith(b"HTTP/1.1 408") if number % 2 else answer == b""
        sock.close()


def test_a_request_in_flight_is_answered_at_the_end(running: Running) -> None:
    """SIGTERM while a body is half there: the other half is taken, answered 202, and the exit is orderly."""
    body = event(1)
    with socket.create_connection(("127.0.0.1", running.port), timeout=15) as sock:
        sock.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body[:10])
        time.sleep(0.3)
        began_s = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        sock.sendall(body[10:])
        assert sock.recv(65536).startswith(b"HTTP/1.1 202")
    assert running.process.wait(15) == 0
    assert time.monotonic() - began_s < 15


@pytest.mark.timeout(240)
def test_a_broker_that_fails_in_the_middle_gives_503_with_ids(broker_parts: None, tmp_path: Path) -> None:
    """Kafka killed while 60,000 lines are written: 503 in time with all ids; the retry adds no other id."""
    own = LocalBroker(tmp_path, choose_port())
    own.start()
    try:
        kafka = own.settings()
        with gateway(kafka) as running:
            assert running.post(event(0), JSON).status_code == 202
            killer = threading.Thread(target=_kill_when_writing, args=(own, kafka))
            killer.start()
            failed = running.post(b"\n".join(event(n) for n in range(60_000)), NDJSON)
            answered_s = time.monotonic()
            killer.join()
            assert answered_s - _killed_s[0] < 14
            assert (failed.status_code, failed.headers["content-type"]) == (503, "application/problem+json")
            assert "retry-after" in failed.headers
            ids = failed.json()["ids"]
            assert len(ids) == 60_000
            own.stop()
            own.start()
            wait_ready(kafka, 60)
            body = b"\n".join(event(n, id=ids[n]) for n in range(60_000))
            deadline_s = time.monotonic() + 60
            while (answer := running.post(body, NDJSON)).status_code == 503 and time.monotonic() < deadline_s:
                time.sleep(1)
            assert (answer.status_code, answer.json()["ids"]) == (202, ids)
            found = [event_id for _, key, event_id in stored(kafka)]
            assert set(ids) <= set(found)
            assert len(set(found)) == 60_001
    finally:
        own.stop()
