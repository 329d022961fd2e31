"""Messages about buckets, in whichever of Amazon's envelopes they come."""

from collections.abc import Mapping

from streams.errors import Poison
from streams.inbound import Delivery, Outcome, Taken
from streams.sources.aws.eventbridge import bucket_event, is_eventbridge, is_of_a_bucket, other_event
from streams.sources.aws.sns_message import NOTIFICATION, is_envelope
from streams.sources.fields import Unusable
from streams.sources.json_body import json_body, json_value
from streams.sources.s3 import is_records, records


def is_message(document: object) -> bool:
    """Tell whether a document looks like one of Amazon's about a bucket."""
    return (
        is_records(document)
        or is_envelope(document)
        or (is_eventbridge(document) and isinstance(document, Mapping) and is_of_a_bucket(document))
    )


def message_events(document: object, source: str) -> Taken:
    """Return the events of a bucket's message, out of SNS's envelope if it has one.

    Who sent it is not judged here: a queue or a topic of ours says it. Raises Poison.
    """
    if is_envelope(document) and isinstance(document, Mapping):
        if document["Type"] != NOTIFICATION:
            raise Poison("a handshake of SNS is answered by a source of kind sns", reason="unknown_format")
        document = json_value(document["Message"].encode())
    if is_eventbridge(document) and isinstance(document, Mapping) and is_of_a_bucket(document):
        return bridged(document, source)
    return records(document, source)


def bridged(document: Mapping[str, object], source: str) -> Taken:
    """Return the event of EventBridge as what is taken."""
    try:
        if is_of_a_bucket(document):
            return Taken(events=[bucket_event(document, source)])
        return Taken(events=[other_event(document, source)])
    except Unusable as error:
        return Taken(unusable=[str(error)])


class BucketForm:
    """Bodies about buckets in any of Amazon's envelopes; nothing is asked for, whatever they say."""

    def read(self, delivery: Delivery, source: str) -> Outcome:
        """Return the events; raises Poison."""
        return message_events(json_body(delivery), source)


class EventBridgeForm:
    """EventBridge by an API destination: buckets' events, and any other as `eventbridge.DETAIL-TYPE`."""

    def read(self, delivery: Delivery, source: str) -> Outcome:
        """Return the events of one event or an array of them; raises Poison."""
        document = json_body(delivery)
        listed = document if isinstance(document, list) else [document]
        if not listed or not all(is_eventbridge(item) for item in listed):
            raise Poison("the body is no event of EventBridge", reason="unknown_format")
        parts = [bridged(item, source) for item in listed]
        return Taken(
            events=[event for part in parts for event in part.events],
            unusable=[f"event {at}: {text}" for at, part in enumerate(parts) for text in part.unusable],
        )
