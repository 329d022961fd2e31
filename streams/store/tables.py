"""Which topic is stored in which tables."""

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.topics import Topics


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where one topic's records go.

    Attributes:
        topic: Its name with prefix.
        record: Name of the Avro record it holds.
        tables: The first decides whether an id is known; each is completed by offset on its own.
        partitions: Of the topic.

    """

    topic: str
    record: str
    tables: tuple[str, ...]
    partitions: int


_TABLES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "event": ("Event", ("events",)),
    "verdict": ("Verdict", ("verdicts",)),
    "run_log": ("RunLog", ("run_log", "runs_latest")),
    "task_log": ("TaskLog", ("task_log", "task_runs_latest")),
    "dead_letter": ("DeadLetter", ("dead_letters",)),
    "trigger": ("Trigger", ("trigger_log",)),
}


def targets(topics: Topics) -> tuple[Target, ...]:
    """Return the targets of all stored topics."""
    return tuple(
        Target(
            topic=topic.name,
            record=_TABLES[topic.schema][0],
            tables=_TABLES[topic.schema][1],
            partitions=topic.partitions,
        )
        for topic in topics.stored()
    )
