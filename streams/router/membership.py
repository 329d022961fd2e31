"""Which partitions of the events log are ours: a group member that reads nothing.

The group only assigns; records are read from explicit offsets once a partition is recovered (`reader`), and
what was written shows where to go on. Offsets are committed for whoever watches the lag.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from streams.errors import EnsueError
from streams.kafka.batches import END
from streams.kafka.group import GroupConsumer
from streams.kafka.record import Place
from streams.settings import KafkaSettings

log = logging.getLogger(__name__)
_POLL_S = 0.1
_COMMIT_EVERY_POLLS = 10

OnChange = Callable[[frozenset[int]], None]


class Membership:
    """Joins at `start`, tells every change of what is ours, leaves at `stop`. Thread-safe.

    Args:
        settings: the broker.
        group: the group's id.
        topic: the events log.
        on_change: called on the loop that started it, with all partitions that are ours now.
        session_timeout_s: silence after which the broker gives our partitions to others.

    """

    def __init__(
        self,
        settings: KafkaSettings,
        group: str,
        topic: str,
        *,
        on_change: OnChange,
        session_timeout_s: float = 10.0,
    ) -> None:
        self._settings = settings
        self._group = group
        self._topic = topic
        self._on_change = on_change
        self._session_timeout_s = session_timeout_s
        self._changed = threading.Lock()
        self._offsets: dict[Place, int] = {}
        self._questions: list[tuple[int, Future[bool]]] = []  # at most one a partition
        self._ours: frozenset[int] = frozenset()
        self._fresh: set[Place] = set()
        self._ended = False
        self._stopping = threading.Event()
        self._failed: Exception | None = None

    def start(self) -> None:
        """Join the group."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="router-membership", daemon=True)
        self._thread.start()

    @property
    def failed(self) -> Exception | None:
        """Why the member is no longer one, or None."""
        return self._failed

    def commit(self, partition: int, offset: int) -> None:
        """Commit soon that everything below `offset` is routed."""
        with self._changed:
            self._offsets[self._topic, partition] = offset

    async def still_holds(self, partition: int) -> bool:
        """Ask the broker whether this member, in its present generation, still counts."""
        answer: Future[bool] = Future()
        with self._changed:
            if self._ended:
                return False
            self._questions.append((partition, answer))
        return await asyncio.wrap_future(answer)

    async def stop(self) -> None:
        """Commit and leave."""
        self._stopping.set()
        await asyncio.to_thread(self._thread.join, 10.0)

    def _run(self) -> None:
        try:
            with GroupConsumer(
                self._settings,
                self._group,
                [self._topic],
                on_assign=self._assigned,
                client_id="ensue-router",
                session_timeout_s=self._session_timeout_s,
            ) as member:
                self._serve(member)
        except Exception as error:
            log.exception("the router is no longer a member of the group %s", self._group)
            self._failed = error
        finally:
            with self._changed:
                self._ended = True
                questions, self._questions = self._questions, []
            for _, answer in questions:
                answer.set_result(False)
            self._tell(frozenset())

    def _serve(self, member: GroupConsumer) -> None:
        polls = 0
        while not self._stopping.is_set():
            try:
                member.consume(1, _POLL_S)
            except EnsueError as error:
                log.warning("the group %s: %s", self._group, error)
            # Paused at once: this member is here to be assigned partitions, not to read them.
            member.pause([place for place in self._fresh if place in member.owned])
            self._fresh.clear()
            self._tell(frozenset(partition for _, partition in member.owned))
            self._answer(member)
            polls += 1
            if polls % _COMMIT_EVERY_POLLS == 0:
                self._commit(member)
        self._commit(member)

    def _assigned(self, places: Sequence[Place]) -> dict[Place, int]:
        self._fresh.update(places)
        return dict.fromkeys(places, END)  # nothing is fetched before the pause

    def _tell(self, ours: frozenset[int]) -> None:
        if ours != self._ours:
            self._ours = ours
            self._loop.call_soon_threadsafe(self._on_change, ours)

    def _commit(self, member: GroupConsumer) -> None:
        with self._changed:
            offsets, self._offsets = self._offsets, {}
        try:
            member.commit(offsets)
        except EnsueError as error:
            log.info("offsets are not committed now, the next commit covers them: %s", error)

    def _answer(self, member: GroupConsumer) -> None:
        """Answer by a commit, which the coordinator refuses to a member it has given up."""
        with self._changed:
            questions, self._questions = self._questions, []
            known = dict(self._offsets)
        for partition, answer in questions:
            place = (self._topic, partition)
            holds = place in member.owned
            if holds:
                try:
                    member.commit({place: known.get(place, 0)}, wait=True)
                except EnsueError as error:
                    log.info("%s[%d] is not ours for certain: %s", self._topic, partition, error)
                    holds = False
            answer.set_result(holds)
