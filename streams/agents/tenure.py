"""One unbroken ownership of one partition: fence, load, serve, and the way out."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial

from streams.agents.offsets import OffsetTracker
from streams.agents.shard import Batch, Delivery, Group, OwnerState, Reader, Role, Shard
from streams.errors import EnsueError, Overload, Transport
from streams.kafka.fenced import FencedProducer
from streams.kafka.log_record import LogRecord

_ATTEMPTS_MAX = 3
_RETRY_S = 0.2

log = logging.getLogger(__name__)

OnLost = Callable[[Transport], None]


class Tenure:
    """Runs until the partition is lost; `run` never returns, it raises why."""

    def __init__(
        self,
        role: Role,
        partition: int,
        *,
        shard: Shard,
        open_fence: Callable[[int, OnLost], FencedProducer],
        group: Group,
        reader: Reader,
        deliver: Callable[[Delivery], None],
        executor: Executor,
        changed: Callable[[OwnerState], None],
    ) -> None:
        self.role = role
        self.partition = partition
        self.offsets: OffsetTracker | None = None
        self._place = (role.topic, partition)
        self._shard = shard
        self._group = group
        self._reader = reader
        self._deliver = deliver
        self._executor = executor
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[LogRecord] = deque()  # bounded by the reader's credits
        self._arrived = asyncio.Event()
        self._read_count = 0  # deliveries handed on by the reader's thread
        self._accepted_count = 0
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._fence = open_fence(partition, self._fence_lost)

    def _fence_lost(self, reason: Transport) -> None:
        self._loop.call_soon_threadsafe(self._lose, reason)

    def _lose(self, reason: Exception) -> None:
        if not self._lost.done():
            self._lost.set_exception(reason)

    async def run(self) -> None:
        """Own the partition until it is lost (raises Transport) or given up (cancelled)."""
        work = asyncio.ensure_future(self._work())
        try:
            await asyncio.wait({work, self._lost}, return_when=asyncio.FIRST_COMPLETED)
            for done in (self._lost, work):
                if done.done():
                    done.result()
        finally:
            try:
                self._shard.drop()
            except Exception:
                log.exception("%s[%d]: drop failed; the rest of the way out is taken", *self._place)
            self._reader.stop(self.role.topic, self.partition)
            self._changed(OwnerState.LOST)
            self._lost.cancel()
            work.cancel()
            await asyncio.wait({work, self._lost})
            for done in (work, self._lost):
                if not done.cancelled():
                    done.exception()  # told by run's own outcome
            self._executor.submit(self._fence.close)

    async def _work(self) -> None:
        self._changed(OwnerState.OPENING)
        await self._loop.run_in_executor(self._executor, self._fence.open)
        self._changed(OwnerState.LOADING)
        start = await self._group.committed(self.role.topic, self.partition) or 0
        await self._shard.load(self._fence)
        self.offsets = OffsetTracker(start)
        self._changed(OwnerState.ACTIVE)
        self._reader.start(self.role.topic, self.partition, start, self._read)
        while True:
            await self._arrived.wait()
            await self._serve(self.offsets)

    def _read(self, records: Sequence[LogRecord]) -> None:
        """Take records from the reader's thread; they pass through the role's Faust agent."""
        number = self._read_count
        self._read_count += 1
        delivery = Delivery(partial(self._accept, number), records)
        self._loop.call_soon_threadsafe(self._deliver, delivery)

    def _accept(self, number: int, records: Sequence[LogRecord]) -> None:
        if number != self._accepted_count:  # offsets have gaps, so only a count can tell
            self._lose(Transport(f"a delivery of {self._place} went missing on its way; reading again"))
            return
        self._accepted_count += 1
        self._waiting.extend(records)
        self._arrived.set()

    async def _serve(self, offsets: OffsetTracker) -> None:
        count = min(self.role.batch_max, len(self._waiting))
        taken = [self._waiting.popleft() for _ in range(count)]
        if not self._waiting:
            self._arrived.clear()
        fresh = [record for record in taken if offsets.started(record.offset)]
        if fresh:
            await self._handle(fresh, offsets)
        self._reader.taken(self.role.topic, self.partition, len(taken))
        while offsets.unfinished > self.role.unfinished_max:  # noqa: ASYNC110 - rare, and 0.2 s late is fine
            await asyncio.sleep(_RETRY_S)

    async def _handle(self, records: Sequence[LogRecord], offsets: OffsetTracker) -> None:
        while True:
            try:
                await self._give(records, offsets)
            except Transport:
                raise
            except Overload as error:
                await asyncio.sleep(error.retry_after_s)
                continue
            except Exception as error:
                first = records[0].place
                log.warning("%s: %d records from %s failed: %r", self.role.name, len(records), first, error)
                await self._one_by_one(records, offsets)
            return

    async def _give(self, records: Sequence[LogRecord], offsets: OffsetTracker) -> None:
        batch = Batch(records, offsets.finished)
        await self._shard.handle(batch)
        for record in records:
            if record.offset not in batch.deferred:
                offsets.finished(record.offset)

    async def _one_by_one(self, records: Sequence[LogRecord], offsets: OffsetTracker) -> None:
        """Find the record that fails; refuse it alone, so that its neighbours are handled."""
        for record in records:
            for attempt in range(1, _ATTEMPTS_MAX + 1):
                try:
                    await self._give([record], offsets)
                except Transport:
                    raise
                except Exception as error:
                    if attempt == _ATTEMPTS_MAX and not isinstance(error, Overload):
                        await self._refuse(record, error)
                        offsets.finished(record.offset)
                    else:
                        await asyncio.sleep(_RETRY_S * attempt)
                else:
                    break

    async def _refuse(self, record: LogRecord, error: Exception) -> None:
        try:
            await self._shard.refuse(record, error)
        except EnsueError:
            raise
        except Exception as failure:
            raise Transport(
                f"{record.place} could be neither handled ({error!r}) nor refused ({failure!r}); "
                "the partition is dropped and taken again"
            ) from failure
