"""Writing with acknowledgement: confluent-kafka's ordinary Producer and one thread that polls it.

Nothing here blocks and nothing grows without bound: what cannot be taken is refused with Overload.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException, Producer

from streams.errors import EnsueError, Overload, Poison, Transport
from streams.kafka.completion import Batch, LoopWaker, Outcome
from streams.kafka.config import librdkafka_config
from streams.kafka.in_flight import InFlight
from streams.kafka.record import Delivery, Headers, Outgoing
from streams.settings import KafkaSettings

_log = logging.getLogger(__name__)
_POLL_S = 0.1
_PROBE_EVERY_S = 1.0
_REBUILD_WAIT_S = 0.5
_PENDING = Transport("the broker has not answered yet")


class EventProducer:
    """Idempotent writes with acks=all; thread-safe.

    A failure that librdkafka calls fatal ends the client underneath: everything in flight fails with
    Transport, and a new client takes its place. Whoever retries then needs ids, as everywhere here.

    Args:
        settings: the broker.
        client_id: name seen in the broker's log and metrics.
        linger_ms: how long a record may wait for company; 0 for latency, 5 for throughput.
        count_max: records without an answer, at most.
        bytes_max: their bytes, at most.
        delivery_timeout_s: after this without an answer a record fails with Transport.
        client: makes the client from its configuration; tests put a faulty one in.

    """

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        client_id: str = "ensue",
        linger_ms: float = 5,
        count_max: int = 200_000,
        bytes_max: int = 128 << 20,
        delivery_timeout_s: float = 30.0,
        client: Callable[[dict[str, Any]], Any] = Producer,
    ) -> None:
        own: Mapping[str, Any] = {
            "error_cb": self._on_error,
            "client.id": client_id,
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": linger_ms,
            "delivery.timeout.ms": int(delivery_timeout_s * 1000),
            # Our bounds speak first; librdkafka's lie just beyond.
            "queue.buffering.max.messages": count_max + 1000,
            "queue.buffering.max.kbytes": (bytes_max >> 9) + 1024,
        }
        self._config = librdkafka_config(settings, own)
        self._address = settings.bootstrap_servers
        self._make = client
        self._in_flight = InFlight(count_max=count_max, bytes_max=bytes_max)
        self._waker = LoopWaker()
        self._fatal: str | None = None
        self._down: str | None = None
        self._probed_s = 0.0
        self._answered = 0  # since the last poll; only the poll thread touches it
        self._answered_bytes = 0
        # Taken but refused by the client: answered from the poll thread like all others.
        self._refused: deque[tuple[Batch, int, int, EnsueError]] = deque()
        self._closing = threading.Event()
        self._swap = threading.Lock()
        self._client = self._make(self._config)
        self._thread = threading.Thread(target=self._poll, name=f"{client_id}-poll", daemon=True)
        self._thread.start()

    @property
    def healthy(self) -> bool:
        """Whether, as far as is known, the broker would take a record now."""
        return self._thread.is_alive() and self._fatal is None and self._down is None

    @property
    def in_flight(self) -> int:
        """Records taken and not yet answered."""
        return self._in_flight.count

    def produce(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
    ) -> "Future[Delivery]":
        """Take one record; the future resolves on the poll thread.

        Raises Overload when a bound is reached, Poison when the record is too large, Transport when the
        client is being replaced. The future fails with Transport when the broker did not acknowledge.
        """
        future: Future[Delivery] = Future()

        def done(outcome: Outcome) -> None:
            if isinstance(outcome, EnsueError):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        self._take_one(Outgoing(topic, partition, key, value, headers), done)
        return future

    async def send(self, record: Outgoing) -> Delivery:
        """Write one record and wait for its acknowledgement; raises as `produce` and its future do."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Delivery] = loop.create_future()
        self._take_one(record, partial(self._waker.later, loop, future))
        return await future

    def produce_batch(self, records: Sequence[Outgoing], on_done: Callable[[list[Outcome]], None]) -> None:
        """Take all records or, raising Overload, none.

        `on_done` is called once, on the poll thread, when each has an outcome: a Delivery, or the error that
        this record met. It must not block.
        """
        if not records:
            on_done([])
            return
        sizes = [record.bytes for record in records]
        batch = Batch(len(records), on_done, _PENDING)
        with self._swap:
            self._check_open()
            self._in_flight.add(len(records), sum(sizes))
            for index, (record, size_bytes) in enumerate(zip(records, sizes, strict=True)):
                refusal = self._hand_over(record, partial(self._on_delivery, batch, index, size_bytes))
                if refusal is not None:
                    self._refused.append((batch, index, size_bytes, refusal))

    async def send_batch(self, records: Sequence[Outgoing]) -> list[Outcome]:
        """Write records together and wait until each has its outcome; Overload means none was taken."""
        if not records:
            return []
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Outcome]] = loop.create_future()
        self.produce_batch(records, partial(self._batch_done, loop, future))
        return await future

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Return whether every record taken so far had its answer within the time."""
        return self._in_flight.wait_empty(timeout_s)

    def close(self, timeout_s: float = 10.0) -> None:
        """Wait for answers, then end; what is left unanswered fails with Transport."""
        if self._closing.is_set():
            return
        self.flush(timeout_s)
        with self._swap:  # who is in the middle of taking finishes first; later ones are refused
            self._closing.set()
        self._thread.join(timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- taking ---

    def _check_open(self) -> None:
        if self._closing.is_set():
            raise Transport("this producer is closed; nothing was written")
        if self._fatal is not None:
            raise Transport(f"the Kafka client is being replaced after a fatal error: {self._fatal}")

    def _take_one(self, record: Outgoing, done: Callable[[Outcome], None]) -> None:
        size_bytes = record.bytes
        batch = Batch(1, lambda outcomes: done(outcomes[0]), _PENDING)
        with self._swap:
            self._check_open()
            self._in_flight.add(1, size_bytes)
            refusal = self._hand_over(record, partial(self._on_delivery, batch, 0, size_bytes))
            if refusal is not None:
                self._in_flight.remove(1, size_bytes)
                raise refusal

    def _hand_over(self, record: Outgoing, on_delivery: Callable[..., None]) -> EnsueError | None:
        """Give the record to the client; return why it was not taken."""
        topic, partition, key, value, headers = record
        try:
            if headers:
                self._client.produce(
                    topic, value, key, partition, on_delivery=on_delivery, headers=list(headers)
                )
            else:
                self._client.produce(topic, value, key, partition, on_delivery=on_delivery)
        except BufferError:
            return Overload("Kafka's client has no room for more records; send it again in a second")
        except KafkaException as error:
            return self._error_of(error.args[0], topic, partition)
        return None

    # --- the poll thread ---

    def _poll(self) -> None:
        while not (self._closing.is_set() and self._in_flight.count == 0):
            self._client.poll(_POLL_S)
            self._settle()
            if self._fatal is not None:
                self._replace()
            elif self._down is not None:
                self._probe()
            if self._closing.is_set():
                self._fail_rest()

    def _settle(self) -> None:
        """After a poll: one lock and one wake-up for all that was answered in it."""
        while self._refused:
            batch, index, size_bytes, refusal = self._refused.popleft()
            self._answer(batch, index, size_bytes, refusal)
        if self._answered:
            count, size_bytes = self._answered, self._answered_bytes
            self._answered = self._answered_bytes = 0
            self._in_flight.remove(count, size_bytes)
        self._waker.flush()

    def _on_delivery(self, batch: Batch, index: int, size_bytes: int, error: Any, message: Any) -> None:
        outcome: Outcome
        if error is None:
            self._down = None
            outcome = Delivery(message.partition(), message.offset(), message.timestamp()[1])
        else:
            outcome = self._error_of(error, message.topic(), message.partition())
        self._answer(batch, index, size_bytes, outcome)

    def _answer(self, batch: Batch, index: int, size_bytes: int, outcome: Outcome) -> None:
        self._answered += 1
        self._answered_bytes += size_bytes
        try:
            batch.put(index, outcome)
        except Exception:
            # A fault of who waits may not end the thread that answers everybody else.
            _log.exception("a callback of a Kafka write failed; it is not told again")

    def _batch_done(
        self,
        loop: asyncio.AbstractEventLoop,
        future: "asyncio.Future[list[Outcome]]",
        outcomes: list[Outcome],
    ) -> None:
        self._waker.later(loop, future, outcomes)

    def _error_of(self, error: KafkaError, topic: str, partition: int) -> EnsueError:
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return Poison(
                f"a record for {topic}[{partition}] is larger than Kafka takes: {error.str()}. "
                "Send less in one event, or a link to it",
                reason="too_large",
            )
        if error.fatal():
            self._fatal = error.str()
        return Transport(
            f"{topic}[{partition}] on {self._address} did not acknowledge the record: {error.str()}. "
            "It may or may not be in the log; send it again with the same id"
        )

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal() or error.code() == KafkaError._FATAL:  # noqa: SLF001 - librdkafka's own code
            self._fatal = error.str()
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - librdkafka's own code
            self._down = error.str()

    def _probe(self) -> None:
        """Ask whether the broker is back: an idle producer would not notice."""
        if time.monotonic() - self._probed_s < _PROBE_EVERY_S:
            return
        self._probed_s = time.monotonic()
        try:
            self._client.list_topics(timeout=0.5)
        except KafkaException:
            return
        self._down = None

    def _replace(self) -> None:
        """End the broken client, so that everything in flight fails, and make a new one."""
        _log.error("replacing the Kafka producer after a fatal error: %s", self._fatal)
        with self._swap:
            self._fail_rest()
            self._client = self._make(self._config)
            self._fatal = None
        time.sleep(_REBUILD_WAIT_S)

    def _fail_rest(self) -> None:
        self._client.purge()
        self._client.poll(0)
        self._settle()
