"""Messages of Amazon SNS at /hooks/NAME: bucket notifications, and whatever else a topic carries."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from schemas.event import Event
from schemas.identity import derived_id
from streams.errors import Poison
from streams.inbound import Call, Delivery, Outcome, Reply, Taken
from streams.sources.aws.messages import message_events
from streams.sources.aws.sns_message import SUBSCRIBE, UNSUBSCRIBE, is_confirmation_address, is_envelope
from streams.sources.fields import Unusable, text_at, time_of
from streams.sources.json_body import json_body, json_value

# UnsubscribeURL works for everybody who knows it, so neither it nor the signature goes into an event.
_TOLD = ("MessageId", "TopicArn", "Subject", "Message", "Timestamp", "MessageAttributes")


class SnsForm:
    """SNS's envelope; with raw delivery the body is the message itself.

    Only behind SnsSignature: a confirmation is asked for as the message says.
    """

    def read(self, delivery: Delivery, source: str) -> Outcome:
        """Return the message's events, or what its handshake wants; raises Poison."""
        document = _envelope(delivery)
        if document is None:
            if "true" in delivery.headers.all("x-amz-sns-rawdelivery"):
                return _raw(delivery, source)
            return message_events(json_body(delivery), source)
        if document["Type"] == UNSUBSCRIBE:
            return Reply()  # its SubscribeURL would subscribe us again
        if document["Type"] == SUBSCRIBE:
            url = document.get("SubscribeURL")
            if not is_confirmation_address(url):
                raise Poison("SubscribeURL is no address of SNS", reason="unusable_record")
            return Call(url=str(url), reply=Reply())
        return _notification(document, source)


def _envelope(delivery: Delivery) -> Mapping[str, Any] | None:
    """Return the body when it is an envelope, whatever headers say: they are not signed."""
    try:
        document = json_body(delivery)
    except Poison:
        return None
    return document if isinstance(document, Mapping) and is_envelope(document) else None


def _notification(document: Mapping[str, Any], source: str) -> Taken:
    """Return the events of a message: a bucket's, else `sns.notification`."""
    with suppress(Poison):  # a topic may carry anything
        return message_events(json_value(document["Message"].encode()), source)
    try:
        number = text_at(document, "MessageId")
        occurred = time_of(text_at(document, "Timestamp"), "Timestamp")
    except Unusable as error:
        raise Poison(f"a notification of SNS: {error}", reason="unusable_record") from None
    identity = derived_id("sns", document["TopicArn"], number, ms=int(occurred.timestamp() * 1000))
    payload = {name: document[name] for name in _TOLD if name in document}
    return _other(identity, document["TopicArn"], occurred, payload, source)


def _raw(delivery: Delivery, source: str) -> Taken:
    """Return the events of a message that came without its envelope; what SNS adds stands in headers."""
    with suppress(Poison):
        return message_events(json_body(delivery), source)
    topic, number = (
        next(iter(delivery.headers.all(f"x-amz-sns-{name}")), "") for name in ("topic-arn", "message-id")
    )
    try:
        message = delivery.body.decode()
    except UnicodeDecodeError:
        raise Poison("the message is not UTF-8", reason="undecodable") from None
    if not topic or not number:
        raise Poison("a raw message of SNS names no topic or no id", reason="unusable_record")
    at = datetime.fromtimestamp(delivery.at_s, UTC)  # it tells no time of its own
    return _other(derived_id("sns", topic, number), topic, at, {"Message": message}, source)


def _other(number: str, topic: str, at: datetime, payload: Mapping[str, Any], source: str) -> Taken:
    event = Event(
        id=number,
        event="sns.notification",
        resource_id=topic,
        resource={"resource.id": topic, "provider": "aws"},
        occurred=at,
        payload=payload,
        source=source,
    )
    return Taken(events=[event])
