"""Whether the gateway can be trusted with events: proved at start, watched afterwards (DESIGN 5.16)."""

import asyncio
import logging
import os
from dataclasses import dataclass

from schemas.event import Event, from_micros
from schemas.new_id import new_id
from streams.clock import Clock
from streams.errors import EnsueError
from streams.gateway.intake import Intake
from streams.gateway.ports import SinkLag, StoreProbe

_log = logging.getLogger(__name__)
LAG_SHARE_MAX = 0.5
_CHECK_FRESH_S = 2.0
_ASK_EVERY_S = 0.1
_WAIT_MAX_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The outcome of a check; `reasons` says in sentences what is missing."""

    ready: bool
    canary_id: str
    reasons: tuple[str, ...]
    sink_lag_share: float


class Readiness:
    """At start: a canary event is visible in SQL. Afterwards: Kafka acknowledges and the sink keeps up.

    Afterwards the same canary record is written again when somebody asks: its id is known, so no second row
    comes of it. A stopped store alone does not take the gateway out.
    """

    def __init__(self, intake: Intake, probe: StoreProbe, lag: SinkLag, clock: Clock, *, host: str) -> None:
        self._intake = intake
        self._probe = probe
        self._lag = lag
        self._clock = clock
        self._started = False
        self._acknowledged = False
        self._checked_s = float("-inf")
        self._health: Health | None = None
        self._asking = asyncio.Lock()
        self._canary = Event(
            id=new_id(),
            event="ensue.gateway.started",
            resource_id=f"ensue://gateway/{host}",
            resource={"resource.id": f"ensue://gateway/{host}", "host": host},
            occurred=from_micros(clock.now_us()),
            payload={"pid": os.getpid()},
            source="gateway",
        )

    @property
    def ready(self) -> bool:
        """The outcome of the last check."""
        return self._health is not None and self._health.ready

    async def start(self) -> None:
        """Return once the canary is visible; waits for a broker or a store that is not there yet."""
        wait_s = _ASK_EVERY_S
        while not self._acknowledged:
            if not await self._write_canary():
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, _WAIT_MAX_S)
        wait_s = _ASK_EVERY_S
        while not await self._visible():
            await asyncio.sleep(wait_s)
            wait_s = min(1.2 * wait_s, _WAIT_MAX_S)
        self._started = True
        self._checked_s = float("-inf")
        _log.info("ready: canary %s is visible in SQL", self._canary.id)

    async def check(self) -> Health:
        """Return the state, at most 2 s old."""
        async with self._asking:
            now_s = self._clock.monotonic_s()
            if self._health is None or now_s - self._checked_s >= _CHECK_FRESH_S:
                self._health = await self._look()
                self._checked_s = self._clock.monotonic_s()
            return self._health

    async def _look(self) -> Health:
        reasons = []
        share = 0.0
        if not self._started:
            reasons.append(
                f"canary event {self._canary.id} is not visible in SQL yet; look at sink and store"
                if self._acknowledged
                else f"Kafka has not acknowledged canary event {self._canary.id} yet; look at the broker"
            )
        else:
            if not await self._write_canary():
                reasons.append("Kafka does not acknowledge; look at the broker")
            share = await self._share()
            if share > LAG_SHARE_MAX:
                reasons.append(
                    f"the sink is behind by {share:.0%} of what Kafka keeps; events will be lost at 100 %, "
                    "look at sink and store"
                )
        for reason in reasons:
            _log.warning("not ready: %s", reason)
        return Health(
            ready=not reasons, canary_id=self._canary.id, reasons=tuple(reasons), sink_lag_share=share
        )

    async def _write_canary(self) -> bool:
        try:
            await self._intake.publish([self._canary])
        except EnsueError as error:
            _log.warning("canary event %s was not acknowledged: %s", self._canary.id, error)
            return False
        self._acknowledged = True
        return True

    async def _visible(self) -> bool:
        try:
            return await self._probe.visible(self._canary.id)
        except (EnsueError, OSError) as error:
            _log.info("the store does not answer yet: %s", error)
            return False

    async def _share(self) -> float:
        try:
            return await self._lag.share_of_retention()
        except (EnsueError, OSError) as error:
            _log.warning("the sink's lag is unknown: %s", error)
            return 0.0
