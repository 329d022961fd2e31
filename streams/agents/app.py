"""The Faust app of a worker: one group member, one agent a role, started from our own console script.

Records of the owned partitions reach the agents through `Inbox` channels. Faust's ordinary channel would do
but for one thing: at each rebalance Faust clears its buffers, which here would lose records for good.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import faust
from mode.utils.queues import FlowControlEvent, ThrowableQueue
from yarl import URL

from streams.agents.membership import FaustGroup, ShardAssignor, ShardTransport
from streams.agents.ownership import Ownership
from streams.agents.shard import Assignment, Delivery
from streams.errors import Transport
from streams.kafka.config import FaustSecurity, faust_security, librdkafka_config
from streams.kafka.group_members import members
from streams.settings import KafkaSettings

DELIVERIES_MAX = 100_000  # credits in the reader bound it well below
_LOOK_EVERY_S = 0.5
_HEARTBEATS_PER_SESSION = 10  # a rebalance is noticed with the next one
_METADATA_AGE_MS = 3000

log = logging.getLogger(__name__)


class Inbox(faust.Channel):
    """A channel whose queue belongs to it alone: kept over rebalances and restarts of its agent."""

    _own: ThrowableQueue

    @property
    def queue(self) -> ThrowableQueue:
        """One queue for the channel and all its clones."""
        root = self._root or self
        if not hasattr(root, "_own"):
            never = FlowControlEvent(initially_suspended=False)  # not the app's: nobody clears it
            root._own = ThrowableQueue(maxsize=DELIVERIES_MAX, flow_control=never)  # noqa: SLF001
        return root._own  # noqa: SLF001

    def give(self, delivery: Delivery) -> None:
        """Hand a delivery to the agent."""
        self.queue.put_nowait(delivery)

    def pour_out(self) -> None:
        """Do the agent's work in its place."""
        while not self.queue.empty():
            with contextlib.suppress(StopAsyncIteration):  # how Faust ends the agent's stream
                delivery = self.queue.get_nowait()
                delivery.accept(delivery.records)


def faust_settings(
    kafka: KafkaSettings, *, group: str, data: Path, session_timeout_s: float
) -> Mapping[str, Any]:
    """Return the Faust settings for a group member on this broker."""
    data.mkdir(parents=True, exist_ok=True)
    security = faust_security(kafka)
    request_s = max(40.0, session_timeout_s + 5)
    return {
        "id": group,
        "broker": [URL(url) for url in security.broker_urls],
        "broker_credentials": credentials(security),
        "broker_session_timeout": session_timeout_s,
        "broker_heartbeat_interval": session_timeout_s / _HEARTBEATS_PER_SESSION,
        "broker_rebalance_timeout": session_timeout_s,  # a member that hangs is waited for no longer
        "broker_request_timeout": request_s,
        "broker_commit_interval": 3600.0,  # Faust has nothing to commit: ownership does
        "broker_commit_livelock_soft_timeout": 1e9,
        "stream_processing_timeout": 1e9,  # our own watchdog sees the real reader
        # A leader that joins right after a broker's restart may see no topics and give nobody anything; it
        # rejoins once its metadata changes, which Faust asks for every 5 min unless told.
        "consumer_metadata_max_age_ms": _METADATA_AGE_MS,
        "consumer_auto_offset_reset": "earliest",
        "consumer_max_fetch_size": 1024,  # everything is paused; a fetch that slips in stays small
        "key_serializer": "raw",
        "value_serializer": "raw",
        "store": "memory://",
        "datadir": str(data),
        "web_enabled": False,
        "topic_disable_leader": True,
        "topic_allow_declare": False,
        "stream_wait_empty": False,
        "table_standby_replicas": 1,  # Faust's own assignor is used only when > 0
        "PartitionAssignor": ShardAssignor,
        "processing_guarantee": "at_least_once",
    }


def credentials(security: FaustSecurity) -> Any:
    """Translate the security settings for Faust; None means plaintext."""
    if security.security_protocol == "PLAINTEXT":
        return None
    if security.security_protocol == "SSL":
        return faust.SSLCredentials(context=security.ssl_context())
    return faust.SASLCredentials(
        username=security.sasl_username,
        password=security.sasl_password,
        mechanism=security.sasl_mechanism,
        ssl_context=security.ssl_context(),
    )


def tame_logging() -> None:
    """Let Faust, mode and aiokafka speak only of what a person should know."""
    for name in ("faust", "mode"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("streams.agents.membership").setLevel(logging.WARNING)  # mode logs under its module
    # Every rebalance is a warning or an error there; ownership logs what it means.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


class WorkerApp:
    """A group member with one agent a role. Make it, `add` the roles, then `start`."""

    def __init__(self, kafka: KafkaSettings, *, group: str, data: Path, session_timeout_s: float) -> None:
        """Build the app on the running loop; nothing connects yet."""
        tame_logging()
        self._session_timeout_s = session_timeout_s
        self.app = faust.App(
            **faust_settings(kafka, group=group, data=data, session_timeout_s=session_timeout_s),
            loop=asyncio.get_running_loop(),
        )
        self.app.boot_strategy.enable_kafka_producer = False
        self.app.transport = ShardTransport(self.app.conf.broker_consumer, self.app)
        self.app.on_partitions_assigned.connect(self._assigned, weak=False)
        self.group = FaustGroup(self.app)
        self._beat_s = time.monotonic()
        self._pulse: asyncio.Task[None] | None = None
        self._client = librdkafka_config(kafka)
        self._inboxes: list[Inbox] = []
        self._leaving = False
        self._ownerships: list[Ownership] = []
        self.on_assignment: Callable[[Assignment], None] | None = None

    def agent(self, name: str, topic: str) -> tuple[Callable[[Delivery], None], Any]:
        """Declare the agent of a role; return how deliveries reach it, and the agent."""
        inbox = Inbox(self.app)
        self.app.topics.add(self.app.topic(topic, key_type=bytes, value_type=bytes))

        async def pass_on(deliveries: AsyncIterator[Delivery]) -> None:
            async for delivery in deliveries:
                delivery.accept(delivery.records)  # never raises: it only wakes the partition's worker

        def deliver(delivery: Delivery) -> None:
            inbox.give(delivery)
            if self._leaving:  # the agents end with the app, the partitions a little later
                inbox.pour_out()

        self._inboxes.append(inbox)
        return deliver, self.app.agent(inbox, name=name)(pass_on)

    def add(self, ownership: Ownership) -> None:
        """Tell `ownership` about assignments from now on."""
        self._ownerships.append(ownership)

    async def _assigned(self, app: Any, assigned: Any, **_rest: Any) -> None:
        del app, assigned
        current = self.group.joined()
        for ownership in self._ownerships:
            ownership.assigned(current)
        if self.on_assignment is not None:
            self.on_assignment(current)

    async def start(self) -> None:
        """Join the group; assignments follow."""
        await self.app.start()
        self._pulse = asyncio.ensure_future(self._beat())

    async def _beat(self) -> None:
        while True:
            self._beat_s = time.monotonic()
            await asyncio.sleep(1)

    def heard_s(self) -> dict[str, float]:
        """When the event loop and the group's consumer last showed life, for the watchdog."""
        return {"the event loop": self._beat_s, "Faust's consumer": self.group.polled_s}

    async def run(self) -> None:
        """Wait until the app is stopped. Raises Transport when Faust has crashed: the process must end."""
        await self.app.wait_until_stopped()
        if self.app.crashed:
            reason = self.app.crash_reason
            raise Transport(f"Faust has crashed ({reason!r}); the supervisor starts this worker again")

    async def stop(self, *, linger_s: float | None = None) -> None:
        """Leave the group, then drop everything.

        While others take over, at most `linger_s` seconds (default: the session timeout), what is active is
        served on: each new owner shuts this one out. With nobody else in the group it ends at once.
        """
        await self.group.wait_calm(self._session_timeout_s)  # a member that rejoins is not let go
        await asyncio.gather(*(ownership.leave() for ownership in self._ownerships))
        self._leaving = True
        await self.app.stop()
        for inbox in self._inboxes:
            inbox.pour_out()
        await self._linger(self._session_timeout_s if linger_s is None else linger_s)
        await asyncio.gather(*(ownership.stop() for ownership in self._ownerships))
        if self._pulse is not None:
            self._pulse.cancel()

    async def _linger(self, linger_s: float) -> None:
        until_s = time.monotonic() + linger_s
        while time.monotonic() < until_s and any(ownership.serving for ownership in self._ownerships):
            if not await asyncio.to_thread(members, self._client, self.app.conf.id):
                return
            await asyncio.sleep(_LOOK_EVERY_S)
