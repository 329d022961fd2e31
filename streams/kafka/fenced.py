"""A producer that only the newest owner of a partition can write with (DESIGN 5.8).

The transaction is nothing but the fence: `open()` shuts every former holder of the transactional id out,
readers read uncommitted, and no promise rests on atomicity. So whatever a producer cannot acknowledge, for
whichever reason, loses the producer as a whole: its owner drops the partition, and whoever owns it next reads
the log to its end and sees what was written and what was not.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Producer

from streams.errors import Fenced, Transport
from streams.kafka.committer import shared_committer
from streams.kafka.pump import shared_pump

OUTSTANDING_MAX = 50_000  # records; librdkafka's own queue holds 100,000
TRANSACTION_TIMEOUT_S = 60.0
DELIVERY_TIMEOUT_S = 30.0  # outlives a broker's restart (12 s measured), ends before the transaction does
COMMIT_EVERY_S = 5.0  # bounds how long compaction waits behind an open transaction
_COMMIT_TIMEOUT_S = 20.0
# As many rows as are handed over within the time that librdkafka waits for company: one request.
_AT_ONCE_ROWS, _LINGER_MS = 100, 0.2
_SENT_MAX = 4  # so many unanswered rows of a partition leave librdkafka free to send another
_OPEN_SLICE_S = 0.5  # how late an opening that is given up is noticed

# librdkafka prints every fencing as FATAL; here it is the protocol's normal course and told by `Fenced`.
_UNHEARD = logging.Logger("librdkafka.fenced")  # noqa: LOG001 - outside the tree of loggers on purpose
_UNHEARD.addHandler(logging.NullHandler())

_FENCES = {
    KafkaError._FENCED,  # noqa: SLF001 - librdkafka's own error codes carry the underscore
    KafkaError._FATAL,  # noqa: SLF001
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_ID_MAPPING,
}


class Row(NamedTuple):
    """A record to write; the partition is always explicit (DESIGN 5.1)."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] | None = None


class _Group:
    """The acknowledgement of rows that were written together."""

    __slots__ = ("future", "left", "offsets")

    def __init__(self, count: int) -> None:
        self.left = count
        self.offsets = [-1] * count
        self.future: Future[list[int]] = Future()
        # From here on nobody can cancel it: who waits may give up, the acknowledgement comes all the same.
        self.future.set_running_or_notify_cancel()


class FencedProducer:
    """One tenure of a transactional id; open it once, close it once, then take a new one.

    All methods may be called from any thread. Written groups resolve in the pump's thread to the offsets of
    their rows, in order, or raise `Fenced` (a newer owner holds the id) or `Transport` (unknown outcome).
    Both mean the same to the owner: drop everything, re-read the log before acting again.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        transactional_id: str,
        *,
        commit_every_s: float = COMMIT_EVERY_S,
        on_lost: Callable[[Transport], None] | None = None,
    ) -> None:
        """Take librdkafka's connection properties; `on_lost` is called once, from any thread."""
        self.transactional_id = transactional_id
        self.commit_every_s = commit_every_s
        self._client = dict(client)
        self._on_lost = on_lost
        self._producer: Any = None
        self._changed = threading.Condition()
        self._outstanding: set[_Group] = set()
        self._rows_out = 0
        # While many rows are on the wire others wait here: librdkafka's idempotent producer sends nothing
        # beyond five unanswered rows of a partition and spins until they are answered (2.16: a core each).
        self._on_wire = 0
        self._held: deque[tuple[Sequence[Row], _Group]] = deque()
        self._committing = False
        self._dirty_since: float | None = None
        self._lost: Transport | None = None
        self._closed = False

    @property
    def lost(self) -> Transport | None:
        """Why nothing can be written any more, or None."""
        return self._lost

    def open(self, timeout_s: float = 30.0) -> None:
        """Shut the former owner out; blocks 5 ms to some seconds. Raises Fenced or Transport."""
        if self._closed:
            raise self._lose(None, "it was given up before it was opened")
        producer = Producer(self._properties())
        try:
            self._enter(producer, timeout_s)
        except KafkaException as error:
            raise self._lose(error.args[0], "could not take ownership") from error
        with self._changed:
            if self._closed:
                raise self._lose(None, "it was given up while it was opened")
            self._producer = producer
            shared_pump().add(self)
            shared_committer().add(self)

    def _properties(self) -> dict[str, Any]:
        return {
            "linger.ms": _LINGER_MS,
            "compression.type": "lz4",
            "acks": "all",
            "queue.buffering.max.messages": 2 * OUTSTANDING_MAX,
            **self._client,
            "transactional.id": self.transactional_id,
            "transaction.timeout.ms": int(TRANSACTION_TIMEOUT_S * 1000),
            "delivery.timeout.ms": int(DELIVERY_TIMEOUT_S * 1000),
            "error_cb": self._client_error,
            "logger": _UNHEARD,
        }

    def _enter(self, producer: Any, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                producer.init_transactions(_OPEN_SLICE_S)
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() >= deadline or self._closed:
                    raise
            else:
                producer.begin_transaction()
                return

    def send(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] | None = None,
    ) -> Future[list[int]]:
        """Write one record; see `write`."""
        return self.write((Row(topic, partition, key, value, headers),))

    def write(self, rows: Sequence[Row]) -> Future[list[int]]:
        """Write rows as one group, in order; the future resolves to their offsets.

        Await it with `asyncio.wrap_future`, block on it with `.result(timeout)`. A lost producer fails the
        future, and more than OUTSTANDING_MAX rows on their way lose it: whoever writes waits for
        acknowledgements, so that many unanswered ones mean a broker that does not answer.
        """
        group = _Group(len(rows))
        if not rows:
            group.future.set_result([])
            return group.future
        if self._rows_out + len(rows) > OUTSTANDING_MAX:
            self._lose(None, f"{self._rows_out} rows are not acknowledged and {len(rows)} more came")
        with self._changed:
            if self._lost is not None:
                group.future.set_exception(self._lost)
                return group.future
            if self._producer is None:
                raise AssertionError(f"{self.transactional_id} is written to before it is open")
            self._outstanding.add(group)
            self._rows_out += len(rows)
            if self._committing or self._held or (self._on_wire and self._on_wire + len(rows) > _SENT_MAX):
                self._held.append((rows, group))
                return group.future
            self._produce(rows, group)
        shared_pump().busy(self)
        return group.future

    def _produce(self, rows: Sequence[Row], group: _Group) -> None:
        """Hand rows to librdkafka; the lock is held and the producer is open."""
        if self._dirty_since is None:
            self._dirty_since = time.monotonic()
        produce = self._producer.produce
        try:
            for index, (topic, part, key, value, headers) in enumerate(rows):
                report = partial(self._delivered, group, index)
                if headers:
                    produce(topic, value, key, partition=part, on_delivery=report, headers=list(headers))
                else:
                    produce(topic, value, key, partition=part, on_delivery=report)
                self._on_wire += 1
        except (KafkaException, BufferError) as error:
            reason = error.args[0] if isinstance(error, KafkaException) else None
            threading.Thread(target=self._lose, args=(reason, "a write was refused"), daemon=True).start()

    def _delivered(self, group: _Group, index: int, error: Any, message: Any) -> None:
        if error is not None:
            self._lose(error, f"a write to {message.topic()}[{message.partition()}] was refused")
            return
        with self._changed:  # the pump and a commit's own flush may both report
            self._on_wire -= 1
            if not self._on_wire and not self._committing:
                self._release()
            group.offsets[index] = message.offset()
            group.left -= 1
            if group.left or group not in self._outstanding:
                return
            self._outstanding.discard(group)
            self._rows_out -= len(group.offsets)
            if not self._outstanding:
                shared_pump().idle(self)
            self._changed.notify_all()
        group.future.set_result(group.offsets)

    def flush(self, timeout_s: float = DELIVERY_TIMEOUT_S) -> None:
        """Block until every written row is acknowledged. Raises Fenced or Transport."""
        with self._changed:
            done = self._changed.wait_for(lambda: not self._outstanding or self._lost is not None, timeout_s)
            if self._lost is not None:
                raise self._lost
        if not done:
            raise self._lose(None, f"writes were not acknowledged within {timeout_s:g} s")

    def poll(self, timeout_s: float) -> int:
        """Serve delivery reports; the pump calls this."""
        producer = self._producer  # close() may take it away meanwhile
        if producer is None:
            return 0
        try:
            return int(producer.poll(timeout_s))
        except KafkaException as error:  # how the binding tells a fatal error
            self._lose(error.args[0], "the broker shut it out")
            return 0

    def commit_due(self, now_s: float) -> bool:
        """Whether the open transaction is old enough to be committed (`time.monotonic()`)."""
        since = self._dirty_since
        return since is not None and now_s - since >= self.commit_every_s and self._lost is None

    def commit(self) -> None:
        """Commit and begin anew; blocks; writes that come meanwhile are held and follow it."""
        with self._changed:
            producer = self._producer  # close() may take it away meanwhile
            if self._committing or self._lost is not None or producer is None or self._dirty_since is None:
                return
            self._committing = True
        try:
            self._leave(producer)
        except KafkaException as error:
            self._lose(error.args[0], "a commit was refused")
            return
        with self._changed:
            self._committing = False
            self._dirty_since = None
            held = bool(self._held)
            self._release()
        if held:
            shared_pump().busy(self)

    def _release(self) -> None:
        """Hand on some of what was held; the lock is held and nothing is on the wire."""
        while self._held and self._on_wire < _AT_ONCE_ROWS and self._lost is None:
            self._produce(*self._held.popleft())

    def _leave(self, producer: Any) -> None:
        deadline = time.monotonic() + _COMMIT_TIMEOUT_S
        while True:
            try:
                producer.commit_transaction(max(deadline - time.monotonic(), 0.1))
                producer.begin_transaction()
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() >= deadline:
                    raise
            else:
                return

    def close(self, *, clean: bool = True) -> None:
        """Give the id back; a clean close commits, so that the next owner need not wait. Blocks."""
        if clean and self._lost is None and self._producer is not None:
            try:
                self.flush()
                self.commit()
            except Transport:
                pass  # the next owner's open() aborts what is left
        shared_committer().remove(self)
        shared_pump().remove(self)
        self._lose(None, "it was closed", tell=False)
        with self._changed:
            self._closed = True
            producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()

    def _client_error(self, error: KafkaError) -> None:
        if error.fatal() or error.code() in _FENCES:
            self._lose(error, "the broker shut it out")

    def _lose(self, error: KafkaError | None, what: str, *, tell: bool = True) -> Transport:
        """Fail everything on its way, once; return the reason."""
        text = f"{self.transactional_id}: {what}" + (f" ({error.name()}: {error.str()})" if error else "")
        fenced = error is not None and (error.code() in _FENCES or error.fatal())
        reason = (
            Fenced(f"{text}; another owner holds it now: drop its work")
            if fenced
            else Transport(f"{text}; what was written is known only from the log: re-read it")
        )
        with self._changed:
            if self._lost is not None:
                return self._lost
            self._lost = reason
            groups, self._outstanding = self._outstanding, set()
            self._held.clear()
            self._rows_out = 0
            self._changed.notify_all()
        shared_pump().idle(self)
        for group in groups:
            group.future.set_exception(reason)
        if tell and self._on_lost is not None:
            self._on_lost(reason)  # the listener's errors are its thread's: pump and committer survive them
        return reason
