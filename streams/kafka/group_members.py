"""Who is in a consumer group."""

from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

_ASK_S = 2.0


def members(client: Mapping[str, Any], group: str) -> int | None:
    """Return how many members a group has; None when the broker does not say. Blocks for 2 s at most."""
    admin = AdminClient(dict(client))  # kept until the answer: its callbacks die with it
    try:
        described = admin.describe_consumer_groups([group], request_timeout=_ASK_S)
        return len(described[group].result(_ASK_S).members)
    except (KafkaException, TimeoutError):
        return None
