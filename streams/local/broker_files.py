"""What the local broker reads at its start: server.properties and its log's settings. Text only."""

from collections.abc import Mapping
from dataclasses import dataclass

from streams.local.ports import LOOPBACK

_SINGLE_NODE = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    # Relative to the working folder, so that the data folder may be moved and may hold commas and blanks.
    "log.dirs": "log",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
}
_SMALL = {
    "num.network.threads": "2",
    "num.io.threads": "4",
    "num.recovery.threads.per.data.dir": "2",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "1",
    "log.index.size.max.bytes": "1048576",
    "log.cleaner.dedupe.buffer.size": "16777216",
    "group.initial.rebalance.delay.ms": "0",
    # After a kill -9 the controller lets the broker back in when its former life has timed out, by default
    # after 9 s. With 3 s a busy machine fenced its own broker and every partition lost its leader.
    "broker.session.timeout.ms": "6000",
    "broker.heartbeat.interval.ms": "500",
}
_PROMISES = {
    # A misspelt topic is an error, never a new topic with the wrong partitions.
    "auto.create.topics.enable": "false",
    # The log's own time is what evaluation folds over.
    "log.message.timestamp.type": "LogAppendTime",
    "log.retention.hours": "168",
    # A laptop that sleeps for months must find its positions again.
    "offsets.retention.minutes": "525600",
    "transactional.id.expiration.ms": "2073600000",
    # As our topics allow; candidates and states may hold many events.
    "message.max.bytes": "8388608",
    "replica.fetch.max.bytes": "8388608",
}
_LOG = """\
status = warn
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = broker.log
appender.file.filePattern = broker.log.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss.SSSXXX} %-5p %m (%c{1})%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 10MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 4
rootLogger = info, file
# Each prints hundreds of lines at every start and nothing that helps.
logger.config.name = org.apache.kafka.common.config
logger.config.level = warn
logger.partitions.name = state.change.logger
logger.partitions.level = warn
logger.throttle.name = org.apache.kafka.server.quota
logger.throttle.level = warn
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScramUser:
    """The one user of a broker that asks for a password (SASL_PLAINTEXT, SCRAM-SHA-512)."""

    name: str
    password: str

    def __post_init__(self) -> None:
        for text in (self.name, self.password):
            if not text or any(mark in text for mark in '"\\,[]=;\n\r'):
                raise ValueError("a SCRAM user's name and password hold none of \" \\ , [ ] = ; or line ends")

    @property
    def format_argument(self) -> str:
        """How the storage tool is told to create the user."""
        return f"SCRAM-SHA-512=[name={self.name},password={self.password}]"


def server_properties(
    *, port: int, controller_port: int, scram_user: ScramUser | None, more: Mapping[str, str]
) -> str:
    """Return the text of server.properties; `more` overrides everything."""
    listener = "SASL_PLAINTEXT" if scram_user else "PLAINTEXT"
    values = {
        **_SINGLE_NODE,
        **_SMALL,
        **_PROMISES,
        "listeners": f"{listener}://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "inter.broker.listener.name": listener,
        "listener.security.protocol.map": f"{listener}:{listener},CONTROLLER:PLAINTEXT",
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
    }
    if scram_user:
        login = (
            "org.apache.kafka.common.security.scram.ScramLoginModule required "
            f'username="{scram_user.name}" password="{scram_user.password}";'
        )
        values |= {
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
            "listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config": login,
        }
    values |= more
    return "".join(f"{name}={value}\n" for name, value in values.items())


def log_properties() -> str:
    """Return the text of log4j2.properties: one file of at most 10 MB and four older ones."""
    return _LOG
