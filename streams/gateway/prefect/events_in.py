"""WS /api/events/in: each message an event, a pong only when Kafka has acknowledged all before the ping."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from streams.clock import Clock
from streams.errors import Overload, Transport
from streams.gateway.in_flight import InFlight, Share
from streams.gateway.intake import Intake
from streams.gateway.item import ItemRefused, Writer
from streams.gateway.parse import Batch
from streams.gateway.ports import Row
from streams.gateway.prefect.credential import Credential
from streams.gateway.prefect.event_json import SOURCE, row_of
from streams.gateway.prefect.handshake import shake_hands
from streams.gateway.problem import Problem
from streams.gateway.ws.socket import TRY_AGAIN, Refused, WebSocket
from streams.strict_json import JsonRefused, loads

UNSETTLED_MAX = 2_000
UNSETTLED_BYTES_MAX = 4 << 20
_AGAIN_S = 0.05
_MESSAGES_A_TURN = 200  # so long at most others wait for the loop: about 3 ms
_ROW_OVERHEAD_BYTES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unusable:
    raw: bytes
    reason: str
    error: str


class EventsIn:
    """What every such socket shares."""

    def __init__(
        self, writer: Writer, intake: Intake, in_flight: InFlight, clock: Clock, credential: Credential
    ) -> None:
        self.writer = writer
        self.intake = intake
        self.in_flight = in_flight
        self.clock = clock
        self._credential = credential

    async def __call__(self, socket: WebSocket) -> None:
        """Serve one client to its end; raises Refused so that it connects again and sends again."""
        await shake_hands(socket, self._credential, hold=True)
        await _Conversation(self, socket).run()


@dataclass(slots=True)
class _Gathered:
    """Messages that leave together."""

    share: Share
    messages: int = 0
    size_bytes: int = 0
    ids: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    unusable: list[_Unusable] = field(default_factory=list)


class _Conversation:
    """One client: one task reads and checks, one writes; between them lies a bounded amount.

    What arrives while a batch is on its way to Kafka leaves together as the next one.
    """

    def __init__(self, shared: EventsIn, socket: WebSocket) -> None:
        self._shared = shared
        self._socket = socket
        self._patience_s = shared.writer.limits.ack_timeout_s
        self._next = _Gathered(shared.in_flight.share())
        self._unsettled = 0
        self._unsettled_bytes = 0
        self._over = False
        self._some = asyncio.Event()
        self._room = asyncio.Event()

    async def run(self) -> None:
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._next.share.leave()

    async def _read(self) -> None:
        count = 0
        while (raw := await self._socket.receive()) is not None:
            size_bytes = len(raw) + _ROW_OVERHEAD_BYTES
            await self._wait_for_room(size_bytes)
            # Nothing is awaited from here on: a message and its row belong to the same batch.
            self._next.messages += 1
            self._next.size_bytes += size_bytes
            self._unsettled += 1
            self._unsettled_bytes += size_bytes
            self._add(raw)
            self._some.set()
            count += 1
            if count % _MESSAGES_A_TURN == 0:
                await asyncio.sleep(0)
        self._over = True
        self._some.set()

    async def _wait_for_room(self, size_bytes: int) -> None:
        """Return when a message may be taken, its bytes held; nothing is read meanwhile."""
        while self._unsettled >= UNSETTLED_MAX or self._unsettled_bytes >= UNSETTLED_BYTES_MAX:
            self._room.clear()
            await self._room.wait()
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._patience_s
        while True:
            try:
                self._next.share.take(size_bytes)
            except Overload as overload:
                if loop.time() > until_s:
                    raise Refused(TRY_AGAIN, f"{overload}") from None
                await asyncio.sleep(_AGAIN_S)
            else:
                return

    def _add(self, raw: bytes) -> None:
        """Check a message; what cannot be used harms no other."""
        shared, limits = self._shared, self._shared.writer.limits
        try:
            item = loads(raw, depth_max=limits.depth)
            id_text, row = row_of(shared.writer, item, received_us=shared.clock.now_us())
        except JsonRefused as refused:
            self._next.unusable.append(_Unusable(raw=raw, reason="malformed_json", error=f"{refused}"))
        except ItemRefused as refused:
            error = f"{refused.field}: {refused.reason}" if refused.field else refused.reason
            self._next.unusable.append(_Unusable(raw=raw, reason=refused.letter, error=error))
        else:
            self._next.ids.append(id_text)
            self._next.rows.append(row)

    async def _write(self) -> None:
        while True:
            if not self._next.messages:
                if self._over:
                    return
                self._some.clear()
                await self._some.wait()
                continue
            batch, self._next = self._next, _Gathered(self._shared.in_flight.share())
            try:
                await self._store(batch)
            finally:
                batch.share.leave()
            self._unsettled -= batch.messages
            self._unsettled_bytes -= batch.size_bytes
            self._room.set()
            await self._socket.settle(batch.messages)

    async def _store(self, batch: _Gathered) -> None:
        """Return once everything is acknowledged; raises Refused, then the client sends it again."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._patience_s
        while True:
            try:
                await self._bury(batch.unusable)
                if batch.rows:
                    await self._shared.intake.accept(Batch(ids=batch.ids, rows=batch.rows))
            except Problem as problem:
                if problem.slug != "overload" or loop.time() > until_s:
                    raise Refused(
                        TRY_AGAIN, "Kafka did not acknowledge; connect again and send again"
                    ) from None
                await asyncio.sleep(_AGAIN_S)
            except Overload:
                if loop.time() > until_s:
                    raise Refused(TRY_AGAIN, "Too much is on its way to Kafka; connect again later") from None
                await asyncio.sleep(_AGAIN_S)
            except Transport:
                raise Refused(TRY_AGAIN, "Kafka did not acknowledge; connect again and send again") from None
            else:
                return

    async def _bury(self, unusable: Sequence[_Unusable]) -> None:
        """Keep what cannot be used; the same bytes again are the same dead letter."""
        bury = self._shared.intake.bury
        letters = [
            bury(one.raw, source=SOURCE, reason=one.reason, error=f"source {SOURCE}: {one.error}")
            for one in unusable
        ]
        await asyncio.gather(*letters)
