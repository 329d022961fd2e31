"""CloudEvents at POST /events: what the gateway asks for there (`streams.inbound.BodyForm`)."""

from collections.abc import Iterator, Mapping, Sequence

from schemas.event import Event
from streams.inbound import Delivery, Refused, Reply
from streams.sources.cloudevents.attribute_types import Invalid
from streams.sources.cloudevents.handshake import handshake
from streams.sources.cloudevents.http_binding import Read, events_of, is_cloud_event
from streams.sources.cloudevents.mapping import event_of


class CloudEventsBody:
    """Structured, batched and binary mode."""

    def __init__(self, origins: Sequence[str] = ()) -> None:
        """`origins` may register by the handshake; `*` for any."""
        self._origins = tuple(origins)

    def claims(self, content_type: str, headers: Mapping[bytes, bytes]) -> bool:
        """Return whether a message means to be a CloudEvent."""
        return is_cloud_event(content_type, headers)

    def read(self, delivery: Delivery, *, depth_max: int) -> tuple[int, Iterator[Event | Refused]]:
        """Return how many events there are, and each; raises Poison when the body as a whole is none."""
        count, reads = events_of(delivery, depth_max=depth_max)
        return count, (_event(read, delivery.at_s) for read in reads)

    def handshake(self, delivery: Delivery) -> Reply:
        """Answer a sender that asks whether it may send (abuse protection)."""
        return handshake(delivery, self._origins)


def _event(read: Read, at_s: float) -> Event | Refused:
    try:
        return event_of(read(), at_s=at_s, source="")
    except Invalid as invalid:
        return Refused(field=invalid.name, reason=invalid.reason)
