"""`ensue sources test` for a topic or a queue: look at what is there, write nothing."""

import time
from typing import Any

from streams.cli.output import print_json
from streams.errors import EnsueError, Poison
from streams.settings import Settings
from streams.source_settings import KafkaSource, SqsSource


def look(settings: Settings, name: str, source: KafkaSource | SqsSource, *, as_json: bool) -> None:
    """Print what the source would read; raises EnsueError when it could not."""
    began_s = time.monotonic()
    told, text = _topic(settings, name, source) if isinstance(source, KafkaSource) else _queue(name, source)
    if as_json:
        seconds = time.monotonic() - began_s
        print_json({"source": name, "kind": source.kind, "ok": True, "seconds": seconds, **told})
    else:
        print(f"{name}: ok, {text}")


def _queue(name: str, source: SqsSource) -> tuple[dict[str, Any], str]:
    from streams.sources.aws.queue_client import SqsQueue

    waiting = SqsQueue(name, source).waiting()
    return {"waiting": waiting}, f"about {waiting} messages wait in {source.queue_url}"


def _topic(settings: Settings, name: str, source: KafkaSource) -> tuple[dict[str, Any], str]:
    from streams.kafka.topic_state import topic_state
    from streams.wiring.kafka_source import topic_reads

    reads = topic_reads(name, source, settings)
    state = topic_state(reads.cluster, source.topic, source.client)
    reading = reads.reading(state.cluster_id)
    told: dict[str, Any] = {"topic": source.topic, "partitions": len(state.ends), "offsets": state.offsets}
    text = f"topic {source.topic} has {len(state.ends)} partitions with {state.offsets} offsets"
    newest = state.newest
    if newest is None:
        return told, f"{text}; no record to look at"
    place = f"{newest.topic}[{newest.partition}] offset {newest.offset}"
    why = f"source {name}: {text}; the newest record, {place}, would be a dead letter: "
    try:
        found = reading.taken(newest, time.time())
    except Poison as poison:
        raise EnsueError(f"{why}{poison}") from None
    except OSError as error:
        raise EnsueError(f"source {name}: the schema registry does not answer: {error}") from None
    if found.unusable:
        raise EnsueError(why + "; ".join(found.unusable))
    events = found.events
    names = [{"event": event.event, "resource_id": event.resource_id, "id": event.id} for event in events]
    newest_at = {"partition": newest.partition, "offset": newest.offset}
    shown = ", ".join(f"{event.event} of {event.resource_id}" for event in events[:3]) or "no event"
    return {**told, "newest": newest_at, "events": names}, f"{text}; the newest record, {place}, is {shown}"
