"""The ways in and out that stay open, and Prefect's: put together from the gateway's own parts."""

from dataclasses import dataclass

from streams.clock import Clock
from streams.gateway.in_flight import InFlight
from streams.gateway.intake import Intake
from streams.gateway.item import Writer
from streams.gateway.live.follow import Follow
from streams.gateway.live.hub import Hub
from streams.gateway.live.reading import LiveLog
from streams.gateway.live.stream import PATH, EventStream
from streams.gateway.metrics import Metrics
from streams.gateway.origin import OriginCheck
from streams.gateway.prefect.credential import Credential
from streams.gateway.prefect.events_in import EventsIn
from streams.gateway.prefect.events_out import EventsOut
from streams.gateway.prefect.http import PrefectHttp
from streams.gateway.prefect.stored import StoredEvents
from streams.gateway.ws.sockets import Handler, Sockets
from streams.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What those who listen hear.

    Attributes:
        log: The events log, read live.
        stored: What they missed; without it a Prefect subscriber is sent nothing of the time before.

    """

    log: LiveLog
    stored: StoredEvents | None = None


class Doors:
    """Prefect's paths, the sockets, and the stream of server-sent events (None: there is no log to hear)."""

    def __init__(
        self,
        settings: Settings,
        writer: Writer,
        intake: Intake,
        in_flight: InFlight,
        clock: Clock,
        origin: OriginCheck,
        metrics: Metrics,
        heard: Heard | None,
    ) -> None:
        credential = Credential(settings.prefect_auth_string)
        self.prefect = PrefectHttp(writer, intake, in_flight, clock, credential)
        self.stream: EventStream | None = None
        self._follow: Follow | None = None
        handlers: dict[str, Handler] = {
            "/api/events/in": EventsIn(writer, intake, in_flight, clock, credential)
        }
        if heard is not None:
            self._follow = follow = Follow(heard.log, Hub(heard.log))
            self.stream = EventStream(follow)
            handlers["/api/events/out"] = EventsOut(follow, heard.stored, clock, credential)
            handlers[PATH] = self.stream.socket
        self.sockets = Sockets(origin, metrics, handlers)

    async def close(self) -> None:
        """Tell those who listen that nothing more comes, so that they do not hold the end up."""
        if self._follow is not None:
            await self._follow.close()
