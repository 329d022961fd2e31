"""Messages of Amazon SQS: what is in them."""

from collections.abc import Mapping
from typing import Any

from streams.errors import Poison
from streams.inbound import Delivery, Keys, Outcome, Taken
from streams.sources.aws.messages import message_events
from streams.sources.json_body import json_body, json_value
from streams.sources.trust import Trust

_QUEUE = "aws:sqs"


class Fetched:
    """We took it from the queue with our own credentials; who may write there is the queue's affair."""

    def verify(self, delivery: Delivery, trust: Trust, keys: Keys) -> None:
        """Believe it."""


class SqsForm:
    """One body of a message, the answer of ReceiveMessage, or the records that Lambda gets of a queue."""

    def read(self, delivery: Delivery, source: str) -> Outcome:
        """Return the events; raises Poison when nothing of it can be used."""
        document = json_body(delivery)
        bodies = _bodies(document)
        if bodies is None:
            return message_events(document, source)
        parts = [_part(body, source) for body in bodies]
        return Taken(
            events=[event for part in parts for event in part.events],
            unusable=[f"message {at}: {text}" for at, part in enumerate(parts) for text in part.unusable],
        )


def body_events(body: str, source: str) -> Taken:
    """Return the events of one message's body; raises Poison."""
    return message_events(json_value(body.encode("utf-8", "surrogatepass")), source)


def _part(body: object, source: str) -> Taken:
    if not isinstance(body, str):
        return Taken(unusable=["the message has no body"])
    try:
        return body_events(body, source)
    except Poison as poison:
        return Taken(unusable=[str(poison)])


def _bodies(document: object) -> list[Any] | None:
    """Return the bodies of messages in their envelopes; None when the document is a body itself."""
    if not isinstance(document, Mapping):
        return None
    messages = document.get("Messages")
    if isinstance(messages, list):
        return [_body(message, "Body") for message in messages]
    if isinstance(document.get("Body"), str) and "MessageId" in document:
        return [document["Body"]]
    listed = document.get("Records")
    if isinstance(listed, list) and listed and all(_of_a_queue(record) for record in listed):
        return [_body(record, "body") for record in listed]
    return None


def _of_a_queue(record: object) -> bool:
    return isinstance(record, Mapping) and record.get("eventSource") == _QUEUE


def _body(message: object, name: str) -> object:
    return message.get(name) if isinstance(message, Mapping) else None
