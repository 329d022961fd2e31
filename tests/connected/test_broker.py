"""The broker without Docker: start, stop, kill -9, two owners, taken ports, orphans."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka.admin import AdminClient

from schemas.topics import Topic
from streams.errors import BadInput, EnsueError, Transport
from streams.kafka.admin import ensure_topics
from streams.kafka.batches import BEGINNING
from streams.kafka.config import librdkafka_config
from streams.kafka.consumer import LogReader
from streams.kafka.group import GroupConsumer
from streams.kafka.producer import EventProducer
from streams.kafka.record import Record
from streams.local import broker as broker_module
from streams.local.broker import LocalBroker
from streams.local.child import process_birth
from streams.local.ports import choose_port
from streams.settings import KafkaSettings

pytestmark = [pytest.mark.connected, pytest.mark.timeout(180)]

TOPIC = Topic(name="t.log", key="", schema="", partitions=1)
OWNER = Path(__file__).with_name("broker_owner.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def local(broker_folder: Path) -> Iterator[LocalBroker]:
    """A started broker of this test's own."""
    broker = LocalBroker(broker_folder, choose_port())
    broker.start()
    ensure_topics(broker.settings(), [TOPIC])
    yield broker
    broker.stop()


def write(settings: KafkaSettings, value: bytes) -> int:
    """Write one record; its offset once acknowledged."""
    with EventProducer(settings, linger_ms=0) as producer:
        return producer.produce(TOPIC.name, 0, None, value).result(30).offset


def read_all(settings: KafkaSettings) -> list[Record]:
    """Everything in the topic as of now."""
    with LogReader(settings) as reader:
        reader.assign({(TOPIC.name, 0): BEGINNING})
        _, end = reader.watermarks(TOPIC.name, 0)
        found: list[Record] = []
        deadline = time.monotonic() + 30
        while reader.positions[TOPIC.name, 0] < end and time.monotonic() < deadline:
            found += reader.consume(1000, 0.5)
        return found


def wait_until(holds: Callable[[], bool], timeout_s: float) -> bool:
    """Whether it held within the time."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_started_broker_takes_writes_on_loopback_only(local: LocalBroker) -> None:
    """After start a write is acknowledged with the log's time, and no port is open beyond loopback."""
    before_ms = time.time_ns() // 1_000_000
    assert write(local.settings(), b"first") == 0
    (record,) = read_all(local.settings())
    assert record.value == b"first"
    assert before_ms - 1000 <= record.timestamp_ms <= time.time_ns() // 1_000_000
    assert local.pid is not None
    listening = [c for c in psutil.Process(local.pid).net_connections("inet") if c.status == "LISTEN"]
    assert len(listening) == 2
    assert {c.laddr.ip.removeprefix("::ffff:") for c in listening} == {"127.0.0.1"}


def test_its_log_can_be_read(local: LocalBroker) -> None:
    """Kafka's own log says that the server started, and the JVM's output is beside it."""
    text = local.log_path.read_text("utf-8")
    assert "Kafka Server started" in text
    assert (local.folder / "jvm.log").is_file()


def test_a_misspelt_topic_is_not_created(local: LocalBroker) -> None:
    """Writing to a topic that nobody declared fails and leaves no topic behind."""
    with EventProducer(local.settings(), delivery_timeout_s=3) as producer:
        answer = producer.produce("t.lgo", 0, None, b"x")
        with pytest.raises(Transport, match=r"t\.lgo\[0\]"):
            answer.result(30)
    known = AdminClient(librdkafka_config(local.settings())).list_topics(timeout=10).topics
    assert "t.log" in known
    assert "t.lgo" not in known


def test_a_restart_keeps_records_and_positions(local: LocalBroker) -> None:
    """Stop and start: records, group positions and the port are as before; the stop was clean."""
    address = local.bootstrap
    for number in range(3):
        write(local.settings(), b"%d" % number)
    with GroupConsumer(local.settings(), "g", [TOPIC.name]) as member:
        assert wait_until(lambda: bool(member.consume(1, 0.5)), 30)
        member.commit({(TOPIC.name, 0): 1}, wait=True)
    local.stop()
    assert local.exit_code in broker_module.CLEAN_EXITS
    assert local.pid is None
    local.start()
    assert local.bootstrap == address
    assert [r.value for r in read_all(local.settings())] == [b"0", b"1", b"2"]
    with GroupConsumer(local.settings(), "g", [TOPIC.name]) as member:
        batch: list[Record] = []
        assert wait_until(lambda: bool(batch.extend(member.consume(1, 0.5)) or batch), 30)
        assert batch[0].value == b"1"


def test_kill_9_keeps_every_acknowledged_record(local: LocalBroker) -> None:
    """Under load, kill -9: every record acknowledged before it is there after the restart, in order."""
    acknowledged: list[int] = []
    stop = threading.Event()

    def load() -> None:
        with EventProducer(local.settings(), linger_ms=0, delivery_timeout_s=60) as producer:
            number = 0
            while not stop.is_set():
                try:
                    producer.produce(TOPIC.name, 0, None, b"%d" % number).result(90)
                except EnsueError:
                    continue
                acknowledged.append(number)
                number += 1

    writer = threading.Thread(target=load)
    writer.start()
    try:
        assert wait_until(lambda: len(acknowledged) >= 200, 60)
        local.kill()
        at_kill = len(acknowledged)
        assert local.exit_code == -signal.SIGKILL
        local.start()
        assert wait_until(lambda: len(acknowledged) >= at_kill + 50, 60)
    finally:
        stop.set()
        writer.join(100)
    found = [int(r.value) for r in read_all(local.settings()) if r.value is not None]
    assert sorted(set(found)) == list(range(len(acknowledged)))
    assert found == sorted(found)


def test_a_second_owner_is_refused(local: LocalBroker) -> None:
    """Another broker on the same folder is told who has it; the first one is unharmed."""
    second = LocalBroker(local.folder.parent, choose_port())
    with pytest.raises(BadInput, match=rf"in use by another broker \(process {os.getpid()}\)"):
        second.start()
    second.stop()
    other = subprocess.run(
        [sys.executable, OWNER, local.folder.parent, "0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert other.returncode != 0
    assert "choose another folder" in other.stderr
    assert write(local.settings(), b"still here") == 0


def test_a_taken_port_leads_to_another(local: LocalBroker) -> None:
    """When somebody else has the port, the broker takes another one and clients find its data there."""
    write(local.settings(), b"kept")
    address = local.bootstrap
    local.stop()
    with socket.create_server(("127.0.0.1", int(address.rpartition(":")[2]))):
        local.start()
        assert local.bootstrap != address
        assert [r.value for r in read_all(local.settings())] == [b"kept"]
        moved = local.bootstrap
        local.stop()
        local.start()
        assert local.bootstrap == moved


def start_owner(folder: Path, *options: str) -> tuple["subprocess.Popen[str]", int]:
    """A process that owns a broker, and the JVM's pid."""
    owner = subprocess.Popen(
        [sys.executable, OWNER, folder, str(choose_port()), *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    pid, bootstrap = owner.stdout.readline().split()
    settings = KafkaSettings(bootstrap_servers=bootstrap)
    ensure_topics(settings, [TOPIC])
    write(settings, b"by the first owner")
    return owner, int(pid)


def end(owner: "subprocess.Popen[str]") -> None:
    """End it by kill -9, nothing left behind."""
    owner.kill()
    owner.wait()
    if owner.stdout is not None:
        owner.stdout.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent")
def test_the_jvm_ends_with_its_owner(broker_folder: Path) -> None:
    """After kill -9 of its owner the JVM ends by itself, and the folder is free with its data."""
    owner, pid = start_owner(broker_folder)
    birth = process_birth(pid)
    assert birth is not None
    end(owner)
    assert wait_until(lambda: process_birth(pid) != birth, 30)
    with_data_of_first(broker_folder)


def test_an_orphan_is_ended_by_the_next_owner(broker_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A JVM that outlived its owner and hangs is ended by force, before the folder is used."""
    monkeypatch.setattr(broker_module, "ORPHAN_TIMEOUT_S", 1.0)
    owner, pid = start_owner(broker_folder, "--no-tie")
    birth = process_birth(pid)
    end(owner)
    assert process_birth(pid) == birth, "without the tie it must live on, else this shows nothing"
    os.kill(pid, signal.SIGSTOP)
    with_data_of_first(broker_folder)
    assert process_birth(pid) != birth


def with_data_of_first(folder: Path) -> None:
    """A new owner starts on the folder and finds what the first one wrote."""
    broker = LocalBroker(folder, choose_port())
    broker.start()
    try:
        assert [r.value for r in read_all(broker.settings())] == [b"by the first owner"]
    finally:
        broker.stop()


def test_a_jvm_that_died_can_be_started_again(local: LocalBroker) -> None:
    """The owner sees that its JVM is gone, and a new start on the same object works."""
    write(local.settings(), b"kept")
    assert local.pid is not None
    os.kill(local.pid, signal.SIGKILL)
    assert local.wait(10)
    assert not local.running
    local.start()
    assert [r.value for r in read_all(local.settings())] == [b"kept"]


def test_an_idle_producer_knows_whether_the_broker_is_there(local: LocalBroker) -> None:
    """It turns unhealthy when the broker stops and healthy again when it is back, with nothing written."""
    with EventProducer(local.settings()) as producer:
        producer.produce(TOPIC.name, 0, None, b"x").result(30)
        assert producer.healthy
        local.stop()
        assert wait_until(lambda: not producer.healthy, 20)
        local.start()
        assert wait_until(lambda: producer.healthy, 20)
        assert producer.produce(TOPIC.name, 0, None, b"y").result(30).offset == 1


def test_the_data_is_private(local: LocalBroker) -> None:
    """Nobody else on the machine can list the broker's folder."""
    assert local.folder.stat().st_mode & 0o077 == 0


def test_a_broken_setting_is_told_with_the_log(broker_folder: Path) -> None:
    """A broker that cannot start says so with the lines that tell why, and gives the folder back."""
    broker = LocalBroker(broker_folder, choose_port())
    broker.start()
    broker.stop()
    broken = LocalBroker(broker_folder, choose_port(), properties={"log.retention.hours": "soon"})
    with pytest.raises(Transport, match=r"(?s)did not start.*log\.retention\.hours"):
        broken.start()
    broker.start()
    broker.stop()


def test_a_format_cut_short_is_done_again(broker_folder: Path) -> None:
    """What a killed format left is thrown away; data is never formatted over."""
    left = broker_folder / "broker" / "log.new"
    left.mkdir(parents=True)
    (left / "meta.properties").write_text("half", "utf-8")
    broker = LocalBroker(broker_folder, choose_port())
    broker.start()
    try:
        assert not left.exists()
        assert (broker_folder / "broker" / "log" / "meta.properties").is_file()
    finally:
        broker.stop()
