"""WS /api/events/out: a filter, then what is stored, then what comes; each event once.

The store says up to which offsets it holds everything. Stored events below them are sent first, oldest first;
from exactly these offsets on the log is followed. So nothing falls between the two and nothing comes twice.
"""

from collections.abc import Sequence
from contextlib import aclosing

from schemas.event import micros
from streams.clock import Clock
from streams.errors import BadInput, EnsueError
from streams.gateway.live.event import LiveEvent
from streams.gateway.live.follow import Follow, Way
from streams.gateway.live.position import Positions
from streams.gateway.live.reading import PositionGone
from streams.gateway.live.stream import CODES, socket_left
from streams.gateway.live.subscription import Ended
from streams.gateway.live.watched import while_there
from streams.gateway.prefect.credential import Credential
from streams.gateway.prefect.event_filter import EventFilter, read_filter
from streams.gateway.prefect.handshake import heard, shake_hands
from streams.gateway.prefect.stored import Page, StoredEvents
from streams.gateway.ws.socket import INTERNAL, PROTOCOL_ERROR, TRY_AGAIN, Refused, WebSocket

BACKFILL_MAX_S = 3_600  # how far back stored events are sent; Prefect's own is 900
_PAGE = 250
_FAR_US = 1 << 62


class EventsOut:
    """What every such socket shares."""

    def __init__(
        self, follow: Follow, stored: StoredEvents | None, clock: Clock, credential: Credential
    ) -> None:
        self._follow = follow
        self._stored = stored
        self._clock = clock
        self._credential = credential

    async def __call__(self, socket: WebSocket) -> None:
        """Serve one subscriber to its end; raises Problem, Refused or PeerGone."""
        await shake_hands(socket, self._credential)
        message = await heard(socket, "filter", code=PROTOCOL_ERROR)
        try:
            wanted = read_filter(message.get("filter"))
        except BadInput as error:
            raise Refused(PROTOCOL_ERROR, f"Invalid filter: {error}") from None
        await while_there(self._send(socket, wanted, message.get("backfill", True)), socket_left(socket))

    async def _send(self, socket: WebSocket, wanted: EventFilter, backfill: object) -> None:
        try:
            start = await self._backfill(socket, wanted) if backfill and self._stored else None
            way = await self._begin(wanted, start)
            try:
                async with aclosing(way.batches()) as batches:
                    async for batch in batches:
                        for out in batch.events:
                            await socket.send_text(out.event.prefects)
            finally:
                await way.close()
        except Ended as ended:
            raise Refused(CODES[ended.why], f"{ended.why}: {ended}") from None
        except EnsueError as error:
            raise Refused(TRY_AGAIN, f"{error}") from None

    async def _begin(self, wanted: EventFilter, start: Positions | None) -> Way:
        try:
            return await self._follow.begin(wanted.wants, start)
        except PositionGone as gone:
            # The store is behind by more than the log keeps; that cannot be mended by connecting again.
            raise Refused(INTERNAL, f"{gone}") from None

    async def _backfill(self, socket: WebSocket, wanted: EventFilter) -> Positions:
        """Send what is stored; return the positions from which the log goes on."""
        stored = self._stored
        assert stored is not None
        in_thread = self._follow.in_thread
        up_to = await in_thread(stored.stored_up_to)
        page = self._first_page(wanted, up_to)
        while True:
            events: Sequence[LiveEvent] = await in_thread(lambda: stored.page(page))  # noqa: B023 - awaited
            for event in filter(wanted.wants, events):
                await socket.send_text(event.prefects)
            if len(events) < page.limit:
                return up_to
            last = events[-1].record
            page = _next(page, (last.occurred, last.id))

    def _first_page(self, wanted: EventFilter, up_to: Positions) -> Page:
        occurred, name = wanted.occurred, wanted.event
        earliest_us = self._clock.now_us() - BACKFILL_MAX_S * 1_000_000
        since = occurred.since if occurred else None
        until = occurred.until if occurred else None
        return Page(
            since_us=earliest_us if since is None else max(earliest_us, micros(since)),
            until_us=_FAR_US if until is None else micros(until),
            below=up_to,
            names=tuple((name.name if name else None) or ()),
            prefixes=tuple((name.prefix if name else None) or ()),
            limit=_PAGE,
        )


def _next(page: Page, after: tuple[int, str]) -> Page:
    return Page(
        since_us=page.since_us,
        until_us=page.until_us,
        below=page.below,
        names=page.names,
        prefixes=page.prefixes,
        after=after,
        limit=page.limit,
    )
