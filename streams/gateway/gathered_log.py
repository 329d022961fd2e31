"""Small appends gathered into one: single POSTs share a call of the client, its wake-up and its time-out.

While few batches are on their way a row leaves at once; under load rows gather behind those that are under
way, so batches grow by themselves and latency does not pay for it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from streams.errors import EnsueError, Transport
from streams.gateway.ports import EventLog, Row

_FULL_ROWS = 64  # an append of so many gains nothing from company
_BATCHES_UNDER_WAY_MAX = 3
_ROWS_MAX = 2_000

_Waiter = tuple["asyncio.Future[Sequence[int]]", int, int]  # whom to tell, its first row, its rows


@dataclass(slots=True)
class _Gathering:
    until_s: float  # by the loop's clock: nobody in it waits longer, time behind others included
    rows: list[Row] = field(default_factory=list)
    waiters: list[_Waiter] = field(default_factory=list)


class GatheredLog:
    """An event log over another one; rows of one key keep the order in which their appends began.

    What waits here is bounded by the requests at work (`InFlight`).
    """

    def __init__(self, log: EventLog, *, ack_timeout_s: float) -> None:
        self._log = log
        self._ack_timeout_s = ack_timeout_s
        self._gathering: dict[str, _Gathering] = {}
        self._under_way = 0
        self._scheduled = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def append(self, topic: str, rows: Sequence[Row]) -> Sequence[int]:
        """As the port says; raises Transport after the acknowledgement's time-out, too."""
        loop = asyncio.get_running_loop()
        gathering = self._gathering.get(topic)
        if gathering is None:
            gathering = self._gathering[topic] = _Gathering(loop.time() + self._ack_timeout_s)
        future: asyncio.Future[Sequence[int]] = loop.create_future()
        gathering.waiters.append((future, len(gathering.rows), len(rows)))
        gathering.rows.extend(rows)
        if len(rows) >= _FULL_ROWS or len(gathering.rows) >= _ROWS_MAX:
            self._send_all()  # with what came before, so that it stays before
        elif not self._scheduled and self._under_way < _BATCHES_UNDER_WAY_MAX:
            self._scheduled = True
            # After what is ready now: requests that came together leave together.
            loop.call_soon(self._send_all)
        return await future

    def _send_all(self) -> None:
        self._scheduled = False
        gathered, self._gathering = self._gathering, {}
        for topic, gathering in gathered.items():
            self._under_way += 1
            task = asyncio.ensure_future(self._send(topic, gathering))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _send(self, topic: str, gathering: _Gathering) -> None:
        try:
            failed = await self._within(topic, gathering)
        except EnsueError as error:
            for future, _, _ in gathering.waiters:
                if not future.done():
                    future.set_exception(error)
        else:
            for future, start, count in gathering.waiters:
                if not future.done():
                    future.set_result([at - start for at in failed if start <= at < start + count])
        finally:
            self._under_way -= 1
            for future, _, _ in gathering.waiters:
                if not future.done():
                    future.cancel()
            if self._gathering and not self._scheduled:
                self._send_all()

    async def _within(self, topic: str, gathering: _Gathering) -> Sequence[int]:
        try:
            async with asyncio.timeout_at(gathering.until_s):
                return await self._log.append(topic, gathering.rows)
        except TimeoutError:
            raise Transport(f"no acknowledgement within {self._ack_timeout_s:g} s") from None
