"""What all runs of a worker share; made once by wiring.

engine = RunEngine(
    topics=topics, codec=codec, worker=name,
    executor=executor,                                   # started
    flows=FlowFiles(newest=catalog.newest, position=lambda: catalog.position),
    queue=RunQueue(2 * executor.slots),
    known_runs=…, stored_offset=…,                       # StoreReader look-ups in threads, raising Transport
    open_journal=kafka_journal(librdkafka_config(kafka), topics),
    limits=RunLimits(claims_max=…, run_timeout_s=…, dedupe_for_s=…),
)
Ownership(Role(name="run", topic=topics.runs.name), shards=lambda p: RunShard(p, engine), …)
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.codec import Codec
from schemas.event_type import EventTypes
from schemas.topics import Topics
from streams.clock import Clock, SystemClock
from streams.kafka.owned_log import OwnedLog
from streams.runs.ports import Flows, KnownRuns, OpenJournal, RunLimits, Runner, StoredOffset
from streams.runs.run_queue import RunQueue


@dataclass(slots=True)
class RunCounts:
    """What a worker's runs have done since it began."""

    claimed: int = 0
    known: int = 0  # requests that came again
    refused: int = 0
    looked_up: int = 0
    attempts: int = 0
    taken_over: int = 0
    retried: int = 0
    parked: int = 0
    forgotten: int = 0
    ended: Counter[str] = field(default_factory=Counter)  # by state


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEngine:
    """Everything that the partitions of a worker have in common."""

    topics: Topics
    codec: Codec
    worker: str
    executor: Runner
    flows: Flows
    queue: RunQueue
    known_runs: KnownRuns
    stored_offset: StoredOffset
    open_journal: OpenJournal
    limits: RunLimits = field(default_factory=RunLimits)
    clock: Clock = field(default_factory=SystemClock)
    counts: RunCounts = field(default_factory=RunCounts)
    types: EventTypes = field(default_factory=EventTypes)  # names whose payloads have a schema


def kafka_journal(client: Mapping[str, Any], topics: Topics) -> OpenJournal:
    """Return what opens a partition of the journal, given librdkafka's connection properties."""
    return lambda fence, partition: OwnedLog(client, fence, topics.journal.name, partition)
