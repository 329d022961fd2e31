"""The producer's own behaviour, with a client that does what a test says."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.errors import Overload, Poison, Transport
from streams.kafka.completion import LoopWaker
from streams.kafka.producer import EventProducer
from streams.kafka.record import Delivery, Outgoing
from streams.settings import KafkaSettings

pytestmark = pytest.mark.unit

SETTINGS = KafkaSettings(bootstrap_servers="nowhere:1")


class Message:
    """What librdkafka hands to a delivery callback."""

    def __init__(self, topic: str, partition: int, offset: int) -> None:
        self._place = (topic, partition, offset)

    def topic(self) -> str:
        return self._place[0]

    def partition(self) -> int:
        return self._place[1]

    def offset(self) -> int:
        return self._place[2]

    def timestamp(self) -> tuple[int, int]:
        return 2, 1_700_000_000_000


class Client:
    """Stands for confluent-kafka's Producer; answers from `poll`, as it does."""

    made: list["Client"]

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.queue: list[tuple[Callable[..., None], Message]] = []
        self.answering = True
        self.refusal: Exception | None = None
        self.delivery_error: KafkaError | None = None
        self.lock = threading.Lock()
        Client.made.append(self)

    def produce(
        self, topic: str, value: Any, key: Any, partition: int, *, on_delivery: Any, **_: Any
    ) -> None:
        if self.refusal is not None:
            raise self.refusal
        with self.lock:
            self.queue.append((on_delivery, Message(topic, partition, len(self.queue))))

    def poll(self, timeout: float) -> int:
        with self.lock:
            served, self.queue = (self.queue, []) if self.answering else ([], self.queue)
        for on_delivery, message in served:
            on_delivery(self.delivery_error, message)
        if not served and timeout:
            time.sleep(0.001)
        return len(served)

    def purge(self) -> None:
        self.answering = True
        self.delivery_error = KafkaError(KafkaError._PURGE_QUEUE)

    def list_topics(self, timeout: float) -> None:
        if self.refusal is not None:
            raise self.refusal


@pytest.fixture
def producer() -> Iterator[EventProducer]:
    """A producer over a client of this test's."""
    Client.made = []
    with EventProducer(SETTINGS, count_max=10, bytes_max=10_000, client=Client) as made:
        yield made
    assert not made._thread.is_alive()


def client() -> Client:
    """The newest client underneath."""
    return Client.made[-1]


def wait_until(holds: Callable[[], bool]) -> None:
    """Fail unless it holds within ten seconds."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_the_promises_are_in_the_configuration(producer: EventProducer) -> None:
    """acks=all, idempotence and lz4 are always on, and librdkafka's queue lies beyond our bound."""
    config = client().config
    assert (config["acks"], config["enable.idempotence"], config["compression.type"]) == ("all", True, "lz4")
    assert config["queue.buffering.max.messages"] > 10


def test_in_flight_is_bounded_by_count_and_freed_by_answers(producer: EventProducer) -> None:
    """The eleventh record is refused at once while ten wait, and taken again after their answers."""
    client().answering = False
    futures = [producer.produce("t", 0, None, b"x") for _ in range(10)]
    with pytest.raises(Overload, match="10 records"):
        producer.produce("t", 0, None, b"x")
    assert producer.in_flight == 10
    client().answering = True
    assert [type(f.result(5)) for f in futures] == [Delivery] * 10
    wait_until(lambda: producer.in_flight == 0)
    producer.produce("t", 0, None, b"x").result(5)


def test_in_flight_is_bounded_by_bytes(producer: EventProducer) -> None:
    """A record that would pass the bound in bytes is refused though few wait."""
    client().answering = False
    producer.produce("t", 0, None, b"x" * 6000)
    with pytest.raises(Overload, match="10000 bytes"):
        producer.produce("t", 0, None, b"x" * 6000)
    client().answering = True


def test_a_full_client_is_overload(producer: EventProducer) -> None:
    """BufferError of the client is Overload, and nothing stays counted."""
    client().refusal = BufferError()
    with pytest.raises(Overload):
        producer.produce("t", 0, None, b"x")
    outcomes: list[Any] = []
    producer.produce_batch([Outgoing("t", 0, None, b"x")] * 2, outcomes.extend)
    wait_until(lambda: producer.in_flight == 0)
    assert [type(o) for o in outcomes] == [Overload, Overload]


def test_a_record_that_is_too_large_is_poison(producer: EventProducer) -> None:
    """It can never be written, so it is not a matter of trying again."""
    client().refusal = KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
    with pytest.raises(Poison) as told:
        producer.produce("t", 3, None, b"x")
    assert told.value.reason == "too_large"
    assert "t[3]" in str(told.value)


def test_a_fatal_error_replaces_the_client(producer: EventProducer) -> None:
    """In flight fails with Transport, the producer is unhealthy meanwhile, then a new client writes."""
    first = client()
    first.answering = False
    waiting = producer.produce("t", 1, None, b"x")
    first.config["error_cb"](KafkaError(KafkaError._FATAL, "sequence lost", True))
    assert not producer.healthy
    with pytest.raises(Transport, match="replaced"):
        producer.produce("t", 1, None, b"y")
    with pytest.raises(Transport, match=r"t\[1\].*same id"):
        waiting.result(5)
    wait_until(lambda: producer.healthy)
    assert client() is not first
    assert producer.produce("t", 1, None, b"z").result(5).partition == 1


def test_down_is_unhealthy_until_the_broker_answers(producer: EventProducer) -> None:
    """All brokers down shows at once, and an idle producer finds out by itself that they are back."""
    client().refusal = KafkaException(KafkaError(KafkaError._TRANSPORT))
    client().config["error_cb"](KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert not producer.healthy
    time.sleep(0.05)
    assert not producer.healthy
    client().refusal = None
    wait_until(lambda: producer.healthy)


def test_close_fails_what_was_never_answered() -> None:
    """Nobody is left waiting for ever, and a closed producer refuses."""
    Client.made = []
    producer = EventProducer(SETTINGS, client=Client)
    client().answering = False
    waiting = producer.produce("t", 0, None, b"x")
    producer.close(0.05)
    with pytest.raises(Transport):
        waiting.result(5)
    with pytest.raises(Transport, match="closed"):
        producer.produce("t", 0, None, b"x")


def test_a_callback_that_fails_harms_nobody_else(
    producer: EventProducer, caplog: pytest.LogCaptureFixture
) -> None:
    """What a callback raises is logged, the poll thread lives and answers the next record."""

    def fail(outcomes: object) -> None:
        raise ZeroDivisionError

    producer.produce_batch([Outgoing("t", 0, None, b"x")], fail)
    assert producer.produce("t", 0, None, b"y").result(5)
    assert producer.healthy
    assert "callback of a Kafka write failed" in caplog.text


def test_a_callback_may_write_again(producer: EventProducer) -> None:
    """Writing from `on_done` does not wait for itself, after a refusal neither."""
    written: list[Any] = []

    def again(outcomes: object) -> None:
        client().refusal = None
        written.append(producer.produce("t", 0, None, b"again"))

    client().refusal = BufferError()
    producer.produce_batch([Outgoing("t", 0, None, b"x")], again)
    wait_until(lambda: written)
    assert written[0].result(5)


def test_many_writers_and_a_close_leave_nobody_waiting() -> None:
    """Threads that write while another one closes get an answer or a refusal, each of them."""
    Client.made = []
    producer = EventProducer(SETTINGS, client=Client)
    futures: list[Any] = []
    refused = []

    def write() -> None:
        for _ in range(2000):
            try:
                futures.append(producer.produce("t", 0, None, b"x"))
            except Transport:
                refused.append(1)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.02)
    producer.close(1)
    for thread in threads:
        thread.join()
    assert len(futures) + len(refused) == 8000
    for future in futures:
        assert isinstance(future.exception(5), Transport | None)
    assert producer.in_flight == 0


async def test_a_cancelled_wait_harms_nobody(producer: EventProducer) -> None:
    """The answer of a cancelled task is dropped, others get theirs."""
    client().answering = False
    gone = asyncio.ensure_future(producer.send(Outgoing("t", 0, None, b"1")))
    stays = asyncio.ensure_future(producer.send(Outgoing("t", 0, None, b"2")))
    await asyncio.sleep(0.01)
    gone.cancel()
    client().answering = True
    assert (await stays).offset == 1


async def test_a_loop_is_woken_once_for_many_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred answers of one poll cost one wake-up."""
    loop = asyncio.get_running_loop()
    futures = [loop.create_future() for _ in range(100)]
    wakes = []
    wake = loop.call_soon_threadsafe
    monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *a: wakes.append(a) or wake(*a))
    waker = LoopWaker()
    for number, future in enumerate(futures):
        waker.later(loop, future, number or Transport("zero"))
    waker.flush()
    waker.flush()
    assert len(wakes) == 1
    assert (await asyncio.gather(*futures, return_exceptions=True))[1:] == list(range(1, 100))
    assert isinstance(futures[0].exception(), Transport)


def test_a_closed_loop_is_nobody_to_wake() -> None:
    """An answer for a loop that has ended is dropped, and the poll thread goes on."""
    loop = asyncio.new_event_loop()
    future = loop.create_future()
    loop.close()
    waker = LoopWaker()
    waker.later(loop, future, 1)
    waker.flush()
    assert not future.done()
