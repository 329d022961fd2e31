"""Topics as values: name, key, schema, partitions, retention. Partition counts are immutable."""

from dataclasses import dataclass, field

PREFIX_DEFAULT = "ensue."
PARTITIONS_LOCAL = 8
PARTITIONS_PRODUCTION = 64
_DAY_MS = 86_400_000
_DELETE_7_D = {"cleanup.policy": "delete", "retention.ms": str(7 * _DAY_MS)}
_FOREVER = {"cleanup.policy": "delete", "retention.ms": "-1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A Kafka topic with what every producer and consumer must agree on."""

    name: str  # with prefix
    key: str  # what the key is, in words
    schema: str  # file stem under schemas/avro
    partitions: int
    config: dict[str, str] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        """The registry's subject for the values."""
        return f"{self.name}-value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """All topics of one installation."""

    events: Topic
    candidates: Topic
    state: Topic
    runs: Topic
    journal: Topic
    verdicts: Topic
    run_log: Topic
    task_log: Topic
    dead_letters: Topic
    triggers: Topic

    def all(self) -> tuple[Topic, ...]:
        """Every topic, in the order of an event's way."""
        return (
            self.events,
            self.candidates,
            self.state,
            self.runs,
            self.journal,
            self.verdicts,
            self.run_log,
            self.task_log,
            self.dead_letters,
            self.triggers,
        )

    def stored(self) -> tuple[Topic, ...]:
        """The topics that the sink persists."""
        return (self.events, self.verdicts, self.run_log, self.task_log, self.dead_letters, self.triggers)


def topics(prefix: str = PREFIX_DEFAULT, partitions: int = PARTITIONS_LOCAL, replication: int = 1) -> Topics:
    """Return the topics of an installation; every one stamps the broker's time (LogAppendTime)."""

    def topic(name: str, key: str, schema: str, config: dict[str, str], count: int = partitions) -> Topic:
        whole = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(8 << 20), **config}
        if replication > 1:
            whole["min.insync.replicas"] = "2"
        return Topic(name=prefix + name, key=key, schema=schema, partitions=count, config=whole)

    return Topics(
        events=topic("events", "resource id", "event", _DELETE_7_D),
        candidates=topic("candidates", "trigger, group key", "candidate", _DELETE_7_D),
        runs=topic("runs", "run id", "run_request", _DELETE_7_D),
        # Their owners shorten them: compaction loses what aborted transactions carried (kafka.owned_log).
        state=topic("state", "trigger, group key", "state", _FOREVER),
        journal=topic("journal", "run id, seq", "journal", _FOREVER),
        verdicts=topic("verdicts", "trigger, group key", "verdict", _DELETE_7_D),
        run_log=topic("run-log", "run id", "run_log", _DELETE_7_D),
        task_log=topic("task-log", "run id", "task_log", _DELETE_7_D),
        dead_letters=topic("dead-letters", "id", "dead_letter", _DELETE_7_D),
        # Not compacted: a re-read needs the definitions that were in force then (DESIGN 5.4).
        triggers=topic("triggers", "trigger name", "trigger", _FOREVER, count=1),
    )
