"""Who owns what: the state machine between the group's assignments and the shards (DESIGN 5.8).

The group assigns, the broker's fence decides. A partition is taken in a fixed order (shut the former owner
out, read its logs to the end, act) and dropped at once when a write is refused or when an assignment comes
without it. Kafka's eager protocol revokes everything at each rebalance only to give most of it back; what
member holds before and after without a break is kept, because the fence alone already makes that safe.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from streams.agents.shard import (
    Assignment,
    Change,
    Delivery,
    Group,
    OwnerState,
    Reader,
    Role,
    Shard,
)
from streams.agents.tenure import OnLost, Tenure
from streams.errors import Transport
from streams.kafka.fenced import FencedProducer

COMMIT_EVERY_S = 1.0
_TAKE_AGAIN_S = 0.5
_OPENING_MAX = 16  # fences opened at a time; one takes 5 ms to some seconds

log = logging.getLogger(__name__)


class Ownership:
    """All partitions of one role in this worker. Everything runs on the loop it is made on."""

    def __init__(
        self,
        role: Role,
        *,
        group: Group,
        reader: Reader,
        open_fence: Callable[[int, OnLost], FencedProducer],
        shards: Callable[[int], Shard],
        deliver: Callable[[Delivery], None],
        on_change: Callable[[Change], None] | None = None,
        commit_every_s: float = COMMIT_EVERY_S,
    ) -> None:
        """`open_fence` makes an unopened producer, `shards` a new shard for each tenure of a partition."""
        self.role = role
        self.states: dict[int, OwnerState] = {}
        self._group = group
        self._reader = reader
        self._open_fence = open_fence
        self._shards = shards
        self._deliver = deliver
        self._on_change = on_change
        self._commit_every_s = commit_every_s
        self._executor = ThreadPoolExecutor(_OPENING_MAX, thread_name_prefix=f"own-{role.name}")
        self._holdings: dict[int, asyncio.Task[None]] = {}
        self._tenures: dict[int, Tenure] = {}
        self._ending: dict[int, asyncio.Task[None]] = {}
        self._last: Assignment | None = None
        self._stopping = False
        self._committer = asyncio.ensure_future(self._commit_forever())

    def assigned(self, assignment: Assignment) -> None:
        """Take what is new, drop what is gone; returns at once."""
        if self._stopping:
            return
        wanted = assignment.of(self.role.topic)
        kept = wanted if assignment.follows(self._last) else frozenset()
        self._last = assignment
        self._drop(partition for partition in list(self._holdings) if partition not in kept)
        for partition in sorted(wanted - self._holdings.keys()):
            before = self._ending.get(partition)
            self._holdings[partition] = asyncio.ensure_future(self._hold(partition, before))

    def _drop(self, partitions: Iterable[int]) -> None:
        for partition in partitions:
            task = self._ending[partition] = self._holdings.pop(partition)
            task.cancel()

    async def _hold(self, partition: int, before: asyncio.Task[None] | None) -> None:
        """Own a partition for as long as the group assigns it here; cancelled when it no longer does."""
        if before is not None:
            await asyncio.wait({before})
        while True:
            try:
                await self._tenure(partition)
            except Transport as error:
                log.warning("%s[%d] is dropped: %s", self.role.topic, partition, error)
            except Exception:
                log.exception("%s[%d] is dropped after an error of ours", self.role.topic, partition)
            if self._stopping:
                return
            await asyncio.sleep(_TAKE_AGAIN_S)
            while not await self._still_holds(partition):  # noqa: ASYNC110 - the answer is the broker's
                await asyncio.sleep(_TAKE_AGAIN_S)

    async def _tenure(self, partition: int) -> None:
        """Own a partition once, until it is lost; raises why."""
        tenure = Tenure(
            self.role,
            partition,
            shard=self._shards(partition),
            open_fence=self._open_fence,
            group=self._group,
            reader=self._reader,
            deliver=self._deliver,
            executor=self._executor,
            changed=lambda state: self._note(partition, state),
        )
        self._tenures[partition] = tenure
        try:
            await tenure.run()
        finally:
            if self._tenures.get(partition) is tenure:
                del self._tenures[partition]

    async def _still_holds(self, partition: int) -> bool:
        try:
            return await self._group.still_holds(self.role.topic, partition)
        except Exception as error:
            log.info("%s[%d]: the group does not answer (%r)", self.role.topic, partition, error)
            return False

    def _note(self, partition: int, state: OwnerState) -> None:
        self.states[partition] = state
        if self._on_change is not None:
            self._on_change(Change(role=self.role.name, partition=partition, state=state))

    async def _commit_forever(self) -> None:
        while True:
            await asyncio.sleep(self._commit_every_s)
            await self.commit()

    async def commit(self) -> None:
        """Commit what is finished; a refusal is no loss, the next commit covers it."""
        trackers = {
            (self.role.topic, partition): tenure.offsets
            for partition, tenure in self._tenures.items()
            if tenure.offsets is not None
        }
        due = {place: offset for place, t in trackers.items() if (offset := t.due()) is not None}
        if not due:
            return
        try:
            if await self._group.commit(due):
                for place, offset in due.items():
                    trackers[place].committed(offset)
        except Exception as error:
            log.info("offsets of %s are not committed now (%r); the next commit covers them", due, error)

    @property
    def serving(self) -> int:
        """How many partitions are active here."""
        return sum(self.states.get(p) is OwnerState.ACTIVE for p in self._tenures)

    async def leave(self) -> None:
        """Take nothing any more, but serve what is active until its next owner shuts this one out."""
        self._stopping = True
        self._committer.cancel()
        await self.commit()
        self._drop(p for p in list(self._holdings) if self.states.get(p) is not OwnerState.ACTIVE)

    async def stop(self, *, timeout_s: float = 2.0) -> None:
        """Commit and drop everything; fences are given back so that the next owner need not wait.

        What takes longer than `timeout_s` ends by itself.
        """
        await self.leave()
        self._drop(list(self._holdings))
        if self._ending:
            await asyncio.wait(set(self._ending.values()), timeout=timeout_s)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(self._executor.shutdown), timeout_s)
