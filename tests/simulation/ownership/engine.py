"""The smallest engine that needs everything ownership promises: count candidates, claim and finish runs."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from streams.agents.shard import Batch
from streams.kafka.fenced import FencedProducer, Row
from streams.kafka.log_record import LogRecord
from streams.kafka.owned_log import OwnedLog

CLAIMED, FINISHED, CLOSED = b"claimed", b"finished", b"closed"
SLOW_EVERY = 50  # every fiftieth run outlives a rebalance
SLOW_S = 3.0
SNAPSHOT_ROWS = 500  # by force: production waits for 20,000


async def _written(fence: FencedProducer, rows: Sequence[Row]) -> list[int]:
    return await asyncio.wrap_future(fence.write(rows))


class EvaluateShard:
    """State: how many candidates of a key were applied, and the offset of the last (DESIGN 5.7)."""

    def __init__(self, client: dict[str, Any], partition: int) -> None:
        self._client = client
        self._partition = partition
        self._state: OwnedLog | None = None

    async def load(self, fence: FencedProducer) -> None:
        self._fence = fence
        self._state = OwnedLog(self._client, fence, "state", self._partition, rows_min=SNAPSHOT_ROWS)
        await asyncio.to_thread(self._state.load)

    async def handle(self, batch: Batch) -> None:
        new: dict[bytes, tuple[int, int]] = {}
        firings: list[Row] = []
        for record in batch.records:
            key, run = record.key or b"", record.value
            count, applied = new.get(key) or _pair(self._state.rows.get(key))
            if record.offset > applied:  # redelivery changes nothing
                new[key] = (count + 1, record.offset)
                firings.append(Row("runs", self._partition, run, b""))
        await _written(self._fence, firings)
        states = [(key, b"%d|%d" % pair) for key, pair in new.items()]
        await asyncio.wrap_future(self._state.write(states))

    async def refuse(self, record: LogRecord, error: Exception) -> None:
        raise AssertionError(f"{record.place}: {error!r}")

    def drop(self) -> None:
        self._state and self._state.close()


def _pair(value: bytes | None) -> tuple[int, int]:
    count, applied = value.split(b"|") if value else (b"0", b"-1")
    return int(count), int(applied)


class RunShard:
    """claimed → the run → finished (the truth) → run-log → closed; a new owner goes on from there."""

    def __init__(self, client: dict[str, Any], partition: int, owner: str, ledger: Any) -> None:
        self._client = client
        self._partition = partition
        self._owner = owner
        self._ledger = ledger
        self._tasks: set[asyncio.Task[None]] = set()
        self._journal: OwnedLog | None = None
        self._to_finish: asyncio.Queue[bytes] = asyncio.Queue(200_000)

    async def load(self, fence: FencedProducer) -> None:
        self._fence = fence
        started = time.monotonic()
        self._journal = OwnedLog(self._client, fence, "journal", self._partition, rows_min=SNAPSHOT_ROWS)
        await asyncio.to_thread(self._journal.load)
        journal = dict(self._journal.rows)
        claimed = [run for run, state in journal.items() if state == CLAIMED]
        finished = [(run, state) for run, state in journal.items() if state.startswith(FINISHED)]
        self._spawn(self._finish_forever())
        for run in claimed:
            self._start(run)
        for at in range(0, len(finished), 1000):
            await self._log(finished[at : at + 1000])
        took = time.monotonic() - started
        self._ledger(
            "recovered", partition=self._partition, runs=len(claimed), rows=len(journal), took_s=took
        )

    async def handle(self, batch: Batch) -> None:
        known = self._journal.rows
        fresh = list(dict.fromkeys(r.key for r in batch.records if r.key and r.key not in known))
        await asyncio.wrap_future(self._journal.write((run, CLAIMED) for run in fresh))
        for run in fresh:
            self._start(run)

    def _start(self, run: bytes) -> None:
        if hash_of(run) % SLOW_EVERY == 0:
            self._spawn(self._slow(run))
        else:
            self._to_finish.put_nowait(run)

    async def _slow(self, run: bytes) -> None:
        await asyncio.sleep(SLOW_S)
        await self._to_finish.put(run)

    async def _finish_forever(self) -> None:
        while True:
            runs = [await self._to_finish.get()]
            while not self._to_finish.empty() and len(runs) < 256:
                runs.append(self._to_finish.get_nowait())
            state = FINISHED + b"|" + self._owner.encode()
            await asyncio.wrap_future(self._journal.write((run, state) for run in runs))
            await self._log([(run, state) for run in runs])

    async def _log(self, finished: Sequence[tuple[bytes, bytes]]) -> None:
        """Publish terminal states as the journal tells them: said twice, they say the same."""
        await _written(self._fence, [Row("run-log", self._partition, run, state) for run, state in finished])
        await asyncio.wrap_future(self._journal.write((run, CLOSED) for run, _ in finished))

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # a failed fence drops the tenure by itself

    async def refuse(self, record: LogRecord, error: Exception) -> None:
        raise AssertionError(f"{record.place}: {error!r}")

    def drop(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._journal and self._journal.close()


def hash_of(run: bytes) -> int:
    """A number that is the same in every process."""
    return int.from_bytes(run[-4:], "big") * 2654435761 >> 7
