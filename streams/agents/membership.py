"""Faust as the group that assigns: joins, heartbeats, assigns stickily, commits; it fetches nothing.

The reasons are measured (docs/experiments/ownership.md). Faust's own fetch path costs four tasks a record,
seeks back and clears its buffers at each rebalance, and commits past records under way (#606), so records
come from `streams.kafka.reader` at offsets that the shards' owner chooses.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

import faust
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.assignor.partition_assignor import PartitionAssignor
from faust.transport.drivers import aiokafka as driver

from streams.agents.shard import Assignment, assignment
from streams.errors import Transport

_ANSWER_S = 5.0

log = logging.getLogger("streams.agents.group")
_T = TypeVar("_T")


class ShardAssignor(PartitionAssignor):
    """Faust's sticky, co-partitioning assignor without standbys: one worker holds all roles of a shard."""

    def __init__(self, app: Any, replicas: int = 0) -> None:
        del replicas  # the setting must be > 0 for Faust to use this assignor at all
        super().__init__(app, replicas=0)


class _Listener(driver.ConsumerRebalanceListener):
    """Pauses what is assigned before anything is fetched."""

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self._thread._ensure_consumer().pause(*assigned)  # noqa: SLF001 - Faust has no port for it
        await super().on_partitions_assigned(assigned)


class _Consumer(driver.Consumer):
    """Polls, so that the member counts as alive, and hands nothing on."""

    RebalanceListener = _Listener

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.polled_s = time.monotonic()
        super().__init__(*args, **kwargs)

    async def _wait_next_records(self, timeout: float) -> Any:
        records = await super()._wait_next_records(timeout)
        self.polled_s = time.monotonic()
        return records

    async def _getmany(self, active_partitions: Any, timeout: float) -> Mapping[Any, Any]:
        await super()._getmany(active_partitions, timeout)
        return {}


class ShardTransport(driver.Transport):
    """Faust's Kafka transport with a consumer that only belongs to the group."""

    Consumer = _Consumer


class FaustGroup:
    """`Group` over a running Faust app; all methods belong to the app's loop.

    Nothing that names the member's generation may be under way while the group rebalances: aiokafka answers
    a refused commit or heartbeat by forgetting its membership, even a newer one that it has just been given,
    and the broker then waits a session timeout for the forgotten member.
    """

    def __init__(self, app: faust.App) -> None:
        self._app = app
        self._calm = asyncio.Event()
        self._asking = asyncio.Lock()
        app.on_partitions_revoked.connect(self._revoked, weak=False)

    async def _revoked(self, *_signal: Any, **_rest: Any) -> None:
        """Let what is under way end before the member joins again."""
        self._calm.clear()
        async with self._asking:
            pass

    @property
    def _thread(self) -> Any:
        return self._app.consumer._thread  # noqa: SLF001 - Faust has no port for heartbeats

    @property
    def _consumer(self) -> Any:
        return self._thread._ensure_consumer()  # noqa: SLF001

    async def _ask(self, question: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on the consumer's own thread, past Faust's queue, which a poll may hold for 1 s."""
        future = asyncio.run_coroutine_threadsafe(question, self._thread.thread_loop)
        return await asyncio.wait_for(asyncio.wrap_future(future), _ANSWER_S)

    def joined(self) -> Assignment:
        """Return what this member holds now that an assignment has come."""
        coordinator = self._consumer._coordinator  # noqa: SLF001
        if coordinator.generation < 0:  # forgotten meanwhile: another assignment follows
            return assignment(-1, "", ())
        self._calm.set()
        places = [(tp.topic, tp.partition) for tp in self._consumer.assignment()]
        return assignment(coordinator.generation, coordinator.member_id, places)

    @property
    def polled_s(self) -> float:
        """Monotonic time of the last completed poll."""
        return float(self._app.consumer.polled_s)

    async def wait_calm(self, timeout_s: float) -> None:
        """Wait for a rebalance that is under way to end; a member that leaves meanwhile is not let go."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._calm.wait(), timeout_s)

    async def still_holds(self, topic: str, partition: int) -> bool:
        """Heartbeat now; True only when the group knows this member and the partition is its own."""
        async with self._asking:
            coordinator = self._consumer._coordinator  # noqa: SLF001
            if not self._calm.is_set() or coordinator.generation < 0:
                return False
            if not await self._ask(coordinator._do_heartbeat()):  # noqa: SLF001
                return False
        return TopicPartition(topic, partition) in self._consumer.assignment()

    async def committed(self, topic: str, partition: int) -> int | None:
        """Return the group's offset for a partition, None when there is none."""
        try:
            offset = await self._ask(self._consumer.committed(TopicPartition(topic, partition)))
        except Exception as error:
            raise Transport(f"the offset of {topic}[{partition}] cannot be read ({error!r})") from error
        return None if offset is None else int(offset)

    async def commit(self, offsets: Mapping[tuple[str, int], int]) -> bool:
        """Commit what this member still holds; False while the group rebalances or when it refuses."""
        async with self._asking:
            if not self._calm.is_set():
                return False
            held = self._consumer.assignment()
            due = {
                tp: OffsetAndMetadata(offset, "")
                for (topic, partition), offset in offsets.items()
                if (tp := TopicPartition(topic, partition)) in held
            }
            try:
                if due:
                    await self._ask(self._consumer.commit(due))
            except Exception as error:
                log.info("commit refused: %r", error)
                return False
            return True
