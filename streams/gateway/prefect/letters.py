"""Dead letters of Prefect's clients, read again when a person retries one."""

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import replace

from schemas.codec import Codec
from schemas.event import from_micros
from schemas.event_record import to_event
from schemas.identity import derived_id
from schemas.record import EventRecord
from streams.errors import Poison
from streams.gateway.item import ItemRefused, Writer
from streams.gateway.prefect.event_json import SOURCE, row_of
from streams.inbound import Delivery, HookSource, Keys, Outcome, Taken, Unauthenticated
from streams.strict_json import JsonRefused, loads


class PrefectLetters:
    """A source (`streams.inbound.HookSource`) without a door of its own."""

    credential = True

    def __init__(self, writer: Writer, codec: Codec) -> None:
        self._writer = writer
        self._codec = codec

    def receive(self, _delivery: Delivery, _keys: Keys) -> Outcome:
        """Take nothing at /hooks: Prefect's clients come by their own paths."""
        raise Unauthenticated(f"/hooks/{SOURCE} is no door")

    def read_again(self, delivery: Delivery) -> Outcome:
        """Return the event; what lacks id or time gets the same ones at each retry. Raises Poison."""
        at_us = int(delivery.at_s * 1_000_000)
        try:
            item = loads(delivery.body, depth_max=self._writer.limits.depth)
            if isinstance(item, dict):
                if item.get("id") is None:
                    item["id"] = derived_id("prefect-retry", delivery.body.hex())
                if item.get("occurred") is None:
                    item["occurred"] = from_micros(at_us).isoformat()
            _, (_, _, value) = row_of(self._writer, item, received_us=at_us)
        except JsonRefused as refused:
            raise Poison(f"the letter is no event: {refused}", reason="malformed_json") from None
        except ItemRefused as refused:
            text = f"{refused.field}: {refused.reason}" if refused.field else refused.reason
            raise Poison(f"the letter is no event: {text}", reason="unusable_record") from None
        event = to_event(self._codec.decode(value, EventRecord))
        return Taken(events=[replace(event, received=None)])


def with_letters(sources: Mapping[str, HookSource], writer: Writer, codec: Codec) -> Mapping[str, HookSource]:
    """Return the sources, and what reads Prefect's letters; a configured source of that name goes first."""
    ours: dict[str, HookSource] = {SOURCE: PrefectLetters(writer, codec)}
    return ChainMap(sources, ours)  # type: ignore[arg-type]  # it is only read
