"""Any notification of any object storage, whichever way it came."""

from streams.errors import Poison
from streams.inbound import Taken
from streams.sources.aws.messages import is_message, message_events
from streams.sources.azure.event_grid import grid_events, is_blob
from streams.sources.google.pubsub import google_events, is_google


def is_storage(document: object) -> bool:
    """Tell whether a JSON document looks like a notification of an object storage."""
    first = document[0] if isinstance(document, list) and document else document
    return is_message(first) or is_blob(first) or is_google(first)


def storage_events(document: object, source: str) -> Taken:
    """Return the events of a notification as a bucket writes it into a topic, a queue or a request.

    S3's and MinIO's Records, EventBridge, SNS's envelope, Pub/Sub's push, Eventarc, Event Grid in both
    schemas. Raises Poison (unknown_format) for anything else.
    """
    first = document[0] if isinstance(document, list) and document else document
    if is_blob(first):
        return grid_events(document, source)
    if is_google(first):
        return google_events(document, source, any_message=False)
    if is_message(document):
        return message_events(document, source)
    raise Poison("it is no notification of an object storage that is known", reason="unknown_format")
