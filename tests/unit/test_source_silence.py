"""The silence alarm: once per silence, proved, and never because of our own lag or a restart."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import TypeAdapter

from schemas.event import Event
from streams.errors import Transport
from streams.gateway.listening import Listening
from streams.gateway.silence import Heard, SilenceAlarm, View
from streams.source_settings import Source

pytestmark = pytest.mark.unit
START_S = 1_800_000_000.0
SOURCES: TypeAdapter[dict[str, Source]] = TypeAdapter(dict[str, Source])
AFTER_S = 60


class World:
    """A gateway's surroundings: a clock that stands, a store, and what was published."""

    def __init__(self) -> None:
        self.now_s = START_S
        self.received: dict[str, float] = {}  # by source, the newest that is stored
        self.words: dict[str, str] = {}  # by source, `last_event_at` of an open alarm
        self.store_lag_s = 0.0
        self.away = False
        self.up = True
        self.looks = 0
        self.published: list[Event] = []
        self.kept: Any = None
        self.names = {"shop": {"kind": "github", "silence_after_s": AFTER_S}, "other": {"kind": "s3"}}
        self.alarm = self.started()

    def started(self) -> SilenceAlarm:
        """A gateway's alarm, with what an earlier one kept."""
        return SilenceAlarm(
            sources=lambda: SOURCES.validate_python(self.names),
            spoken=self,
            publisher=self,
            listens=self.listens,
            clock=self,
            listening=Listening.of_json(json.loads(json.dumps(self.kept))),
            save=self.keep,
        )

    async def listens(self) -> bool:
        """Whether events can come in."""
        return self.up

    def keep(self, value: Any) -> None:
        """Keep over restarts."""
        self.kept = value

    def now_us(self) -> int:
        """The clock."""
        return int(self.now_s * 1_000_000)

    def monotonic_s(self) -> float:
        """The clock."""
        return self.now_s

    async def look(self, names: Mapping[str, int]) -> View:
        """The store's view."""
        self.looks += 1
        if self.away:
            raise Transport("the store is away")
        return View(
            complete_us=int((self.now_s - self.store_lag_s) * 1_000_000),
            heard={
                name: Heard(
                    last_us=self.stored_us(name, since_us),
                    silent_since=self.words.get(name),
                )
                for name, since_us in names.items()
            },
        )

    def stored_us(self, name: str, since_us: int) -> int | None:
        """When the newest event was received, as far as one was since then."""
        at_us = int(self.received.get(name, 0) * 1_000_000)
        return at_us if at_us >= max(since_us, 1) else None

    async def publish(self, events: list[Event]) -> None:
        """Take the alarm."""
        self.published += events

    async def passing(self, seconds: float, step_s: float = 1.0) -> None:
        """Let time pass, the alarm looking each second."""
        until_s = self.now_s + seconds
        while self.now_s < until_s:
            self.now_s = min(until_s, self.now_s + step_s)
            try:
                await self.alarm.turn()
            except Transport:
                assert self.away

    def said(self) -> list[str]:
        """What was said of sources."""
        return [event.event.removeprefix("ensue.source.") for event in self.published]


async def test_a_silence_is_told_once_and_its_end_too() -> None:
    """After so long without an event `silent`, with the next event `resumed`, each with its own id."""
    world = World()
    world.received["shop"] = START_S
    await world.passing(AFTER_S - 1)
    assert world.said() == []
    await world.passing(1000)
    (silent,) = world.published
    assert silent.event == "ensue.source.silent"
    assert silent.resource == {"resource.id": "ensue://source/shop", "source": "shop", "kind": "github"}
    assert silent.payload["last_event_at"] == "2027-01-15T08:00:00.000000Z"
    assert AFTER_S <= silent.payload["silent_for_s"] < AFTER_S + 10
    assert world.alarm.silent == {"shop"}
    assert world.alarm.metrics() == b'ensue_source_silent{source="shop"} 1\n'
    world.received["shop"] = world.now_s
    await world.passing(10)
    assert world.said() == ["silent", "resumed"]
    assert world.published[1].payload["silent_since"] == silent.payload["last_event_at"]
    await world.passing(2 * AFTER_S)
    assert world.said() == ["silent", "resumed", "silent"]
    assert len({event.id for event in world.published}) == 3


async def test_another_gateway_says_the_same() -> None:
    """Two gateways, or one that was started again, give the same ids: one row comes of it."""
    one, two = World(), World()
    for world in (one, two):
        world.received["shop"] = START_S
    await one.passing(300)
    await two.passing(500, step_s=7.0)
    assert [event.id for event in one.published] == [event.id for event in two.published]


async def test_a_source_that_speaks_raises_nothing_and_is_hardly_looked_up() -> None:
    """The store is asked about once per period, not each second."""
    world = World()
    for _ in range(20):
        world.received["shop"] = world.now_s
        await world.passing(AFTER_S - 5)
    assert world.said() == []
    assert world.looks < 60


async def test_our_own_lag_raises_no_alarm() -> None:
    """While the sink is behind, or the store away, nothing is known, so nothing is said."""
    world = World()
    world.received["shop"] = START_S
    world.store_lag_s = 500
    await world.passing(490)
    assert world.said() == []
    world.away = True
    await world.passing(1000)
    assert world.said() == []
    world.away, world.store_lag_s = False, 0
    world.received["shop"] = world.now_s - 5
    await world.passing(20)
    assert world.said() == []


async def test_time_without_a_gateway_does_not_count() -> None:
    """A restart after ten minutes alarms only when a minute passed in which somebody listened."""
    world = World()
    world.received["shop"] = START_S
    await world.passing(30)
    world.now_s += 600
    world.alarm = world.started()
    await world.passing(20)
    assert world.said() == []
    await world.passing(30)
    assert world.said() == ["silent"]


async def test_a_broker_that_is_away_is_no_silence() -> None:
    """Senders were refused meanwhile: they are given their time again."""
    world = World()
    world.received["shop"] = START_S
    await world.passing(20)
    world.up = False
    await world.passing(600)
    world.up = True
    await world.passing(25)
    assert world.said() == []
    await world.passing(40)
    assert world.said() == ["silent"]


async def test_a_first_start_over_old_events_waits() -> None:
    """A gateway that never listened here cannot know whether nobody spoke yesterday."""
    world = World()
    world.received["shop"] = START_S - 86_400
    await world.passing(AFTER_S - 1)
    assert world.said() == []
    await world.passing(10)
    assert world.said() == ["silent"]


async def test_a_source_that_never_spoke_is_waited_for_from_its_first_day() -> None:
    """Its start counts over restarts, and the alarm says that there was no event."""
    world = World()
    await world.passing(40)
    world.alarm = world.started()
    await world.passing(25)
    (silent,) = world.published
    assert silent.payload["last_event_at"] is None
    world.received["shop"] = world.now_s
    await world.passing(10)
    assert world.said() == ["silent", "resumed"]


async def test_an_alarm_from_before_a_restart_ends() -> None:
    """What was silent when the gateway went and speaks now has resumed."""
    world = World()
    world.received["shop"] = START_S - 1000
    world.words["shop"] = "2027-01-15T06:00:00.000000Z"
    await world.passing(5)
    assert world.said() == ["resumed"]
    assert world.published[0].payload["silent_since"] == "2027-01-15T06:00:00.000000Z"
    still = World()
    still.received["shop"] = START_S
    still.words["shop"] = "2027-01-15T08:00:00.000000Z"
    await still.passing(500)
    assert still.said() == []


async def test_a_source_without_the_setting_is_left_alone() -> None:
    """Nobody asked, so nothing is looked up."""
    world = World()
    world.names = {"other": {"kind": "s3"}}
    await world.passing(1000)
    assert (world.said(), world.looks) == ([], 0)


def test_what_was_kept_wrongly_is_begun_anew() -> None:
    """A half-written file costs the memory, never the gateway."""
    for value in (None, [], {"alive_s": "x"}, {"alive_s": 1, "gaps": [[1]], "since_s": {}}):
        assert Listening.of_json(value) == Listening()
