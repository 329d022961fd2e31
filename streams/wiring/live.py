"""The gateway's view of the events log and of what is stored of it, for those who listen."""

from collections.abc import Mapping, Sequence

from schemas.codec import Codec
from schemas.record import EventRecord
from streams.gateway.doors import Heard
from streams.gateway.item import Writer
from streams.gateway.live.event import LiveEvent
from streams.gateway.live.position import Positions
from streams.gateway.live.reading import LiveLog
from streams.gateway.prefect.letters import with_letters
from streams.gateway.prefect.stored import Page
from streams.inbound import HookSource
from streams.kafka.consumer import LogReader
from streams.settings import Settings
from streams.store.queries.backfill import events_below
from streams.store.queries.known import stored_offsets
from streams.store.queries.reader import StoreReader
from streams.wiring.common import topics_of

# Several readers may be open at once; what each holds in advance is kept small.
_PROPERTIES = {"queued.max.messages.kbytes": 4 << 10, "fetch.message.max.bytes": 1 << 20}
_PLACE = ("partition", "offset")


def live_log(settings: Settings, codec: Codec) -> LiveLog:
    """Return the events topic as a log to listen to."""
    events = topics_of(settings).events
    return LiveLog(
        lambda: LogReader(settings.kafka, client_id="ensue-live", properties=_PROPERTIES),
        events.name,
        events.partitions,
        codec,
    )


class Stored:
    """Implements the gateway's port `StoredEvents`."""

    def __init__(self, settings: Settings, store: StoreReader) -> None:
        self._store = store
        self._events = topics_of(settings).events

    def stored_up_to(self) -> Positions:
        """Return the offsets below which everything is stored."""
        found = stored_offsets(self._store)
        return tuple(found.get((self._events.name, p), 0) for p in range(self._events.partitions))

    def page(self, wanted: Page) -> Sequence[LiveEvent]:
        """Return a page of stored events."""
        rows = events_below(
            self._store,
            self._events.name,
            wanted.below,
            since_us=wanted.since_us,
            until_us=wanted.until_us,
            after=wanted.after,
            names=wanted.names,
            prefixes=wanted.prefixes,
            limit=wanted.limit,
        )
        return [
            LiveEvent(
                EventRecord(**{name: value for name, value in row.items() if name not in _PLACE}),
                partition=row["partition"],
                offset=row["offset"],
                size_bytes=len(row["payload"]),
            )
            for row in rows
        ]


def heard(settings: Settings, codec: Codec, store: StoreReader) -> Heard:
    """Return what those who listen at the gateway hear."""
    return Heard(log=live_log(settings, codec), stored=Stored(settings, store))


def with_prefect(
    sources: Mapping[str, HookSource], settings: Settings, codec: Codec
) -> Mapping[str, HookSource]:
    """Return the sources whose dead letters can be read again, Prefect's clients among them."""
    events = topics_of(settings).events
    writer = Writer(header=codec.header("event"), partitions=events.partitions, limits=settings.limits)
    return with_letters(sources, writer, codec)
