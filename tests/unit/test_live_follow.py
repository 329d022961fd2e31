"""A subscriber's way through the log: from any position, no gap and no repeat; cut off when too slow."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from streams.errors import BadInput, Overload, Transport
from streams.gateway.live import follow as follow_module
from streams.gateway.live.event import LiveEvent
from streams.gateway.live.follow import Follow, Way
from streams.gateway.live.hub import Hub
from streams.gateway.live.position import Positions, decode, encode
from streams.gateway.live.reading import LOOK_BACK, LiveLog, PositionGone, Reader
from streams.gateway.live.subscription import Ended
from streams.kafka.memory import MemoryLog, MemoryReader
from streams.kafka.record import Record
from tests.live_case import CODEC, EVENTS, LETTERS, PARTITIONS, live_log, put

pytestmark = pytest.mark.unit
START: Positions = (0,) * PARTITIONS


def empty_log() -> MemoryLog:
    """A log without records."""
    return MemoryLog({EVENTS: PARTITIONS, LETTERS: PARTITIONS})


def everything(_: LiveEvent) -> bool:
    """Want all."""
    return True


@asynccontextmanager
async def following(log: LiveLog, *, heartbeat_s: float = 0.05) -> AsyncIterator[Follow]:
    """Ways through a log, closed at the end."""
    follow = Follow(log, Hub(log), heartbeat_s=heartbeat_s)
    try:
        yield follow
    finally:
        await follow.close()


async def take(way: Way, count: int, within_s: float = 10.0) -> tuple[list[str], str]:
    """Take at least `count` events off a way; return ids and the position after the last batch."""
    found: list[str] = []
    position = ""
    async with asyncio.timeout(within_s), aclosing(way.batches()) as batches:
        async for batch in batches:
            found += [out.event.record.id for out in batch.events]
            position = batch.position
            if len(found) >= count:
                break
    return found, position


@pytest.mark.parametrize("seed", range(8))
async def test_reconnecting_anywhere_gives_each_event_once(seed: int) -> None:
    """While a log grows, readers that leave and come back with their last position see each event once."""
    chance = random.Random(seed)
    log = empty_log()
    written: list[str] = [put(log, number) for number in range(chance.randrange(300))]

    async def write() -> None:
        for number in range(700):
            if written and chance.random() < 0.2:
                number_again = chance.randrange(max(0, len(written) - 50), len(written))
                put(log, number_again, id_text=written[number_again])  # sent again: the same id
            written.append(put(log, len(written)))
            if number % 50 == 0:
                await asyncio.sleep(0.01)

    async with following(live_log(log)) as follow:
        writing = asyncio.create_task(write())
        seen: list[str] = []
        position = encode(START)
        while len(seen) < len(written) or not writing.done():
            way = await follow.begin(everything, decode(position, PARTITIONS))
            try:
                async with asyncio.timeout(10), aclosing(way.batches()) as batches:
                    left = chance.randrange(1, 200)
                    async for batch in batches:
                        # Leave in the middle of a batch too: the position of the last event taken counts.
                        taken = batch.events[:left]
                        seen += [out.event.record.id for out in taken]
                        left -= len(taken)
                        whole = len(taken) == len(batch.events)
                        position = batch.position if whole or not taken else taken[-1].position
                        if left <= 0 or len(seen) >= len(written):
                            break
            finally:
                await way.close()
        await writing
    assert len(seen) == len(set(seen))
    assert set(seen) == set(written)


async def test_a_second_copy_is_dropped_even_when_the_first_lies_before_the_position() -> None:
    """A resend after a reconnect is no news: a reading remembers the ids before its position."""
    log = empty_log()
    first = put(log, 1)
    async with following(live_log(log)) as follow:
        way = await follow.begin(everything, START)
        _, position = await take(way, 1)
        await way.close()
        put(log, 1, id_text=first)
        news = put(log, 1)
        way = await follow.begin(everything, decode(position, PARTITIONS))
        assert (await take(way, 1))[0] == [news]
        await way.close()
        # The live tail knows the copies as well.
        way = await follow.begin(everything, None)
        put(log, 1, id_text=first)
        more = put(log, 1)
        assert (await take(way, 1))[0] == [more]
        await way.close()


async def test_the_tail_begins_with_the_first_and_ends_with_the_last() -> None:
    """One reader serves all; without subscribers none is open."""
    log, opened = empty_log(), []

    def open_reader() -> Reader:
        opened.append(1)
        return MemoryReader(log)

    async with following(LiveLog(open_reader, EVENTS, PARTITIONS, CODEC)) as follow:
        ways = [await follow.begin(everything, None) for _ in range(5)]
        assert (len(opened), follow.hub.reads) == (1, True)
        event = put(log, 1)
        assert [(await take(way, 1))[0] for way in ways] == [[event]] * 5
        for way in ways:
            await way.close()
        assert not follow.hub.reads
        await (await follow.begin(everything, None)).close()
        assert len(opened) == 2


async def test_a_slow_reader_is_cut_off_and_others_are_not() -> None:
    """Beyond its bound a subscriber ends with `overrun`, holds nothing, and can come back."""
    log = empty_log()
    async with following(live_log(log)) as follow:
        slow = await follow.begin(everything, None, events_max=100)
        quick = await follow.begin(everything, None)
        small = await follow.begin(everything, None, bytes_max=2_000)
        written = [put(log, number) for number in range(300)]
        assert sorted((await take(quick, 300))[0]) == sorted(written)
        for way in (slow, small):
            with pytest.raises(Ended, match="read faster") as ended:
                await take(way, 1)
            assert ended.value.why == "overrun"
        assert len(follow.hub._subscribers) == 1
        await slow.close()


async def test_a_reader_ahead_of_this_gateways_tail_sees_nothing_twice() -> None:
    """A position taken at another gateway may be ahead of this one's tail; nothing is repeated."""
    log = empty_log()
    gate = asyncio.Event()
    async with following(live_log(log)) as follow:
        other = await follow.begin(lambda _: True, None)
        hand_out = follow.hub.hand_out

        async def late(steps: object) -> None:
            await gate.wait()
            await hand_out(steps)  # type: ignore[arg-type]

        follow.hub.hand_out = late  # type: ignore[method-assign,assignment]
        for number in range(20):
            put(log, number)
        ends = tuple(len(log.records(EVENTS, partition)) for partition in range(PARTITIONS))
        way = await follow.begin(everything, ends)
        taking = asyncio.create_task(take(way, 1))
        await asyncio.sleep(0.3)
        gate.set()
        await asyncio.sleep(0.3)
        news = put(log, 99)
        found, position = await taking
        assert found == [news]
        assert all(a >= b for a, b in zip(decode(position, PARTITIONS), ends, strict=True))
        await way.close()
        await other.close()


async def test_a_position_outside_the_log_is_refused() -> None:
    """What retention took away, or another log's position, is said to be gone, never skipped in silence."""
    log = empty_log()
    put(log, 1)

    class Shortened(MemoryReader):
        def watermarks(self, topic: str, partition: int) -> tuple[int, int]:
            return 5, 10

    for start, open_reader in (((9,) * 8, lambda: MemoryReader(log)), (START, lambda: Shortened(log))):
        async with following(LiveLog(open_reader, EVENTS, PARTITIONS, CODEC)) as follow:
            with pytest.raises(PositionGone):
                await follow.begin(everything, start)


async def test_bounds_on_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are so many subscribers and so many who catch up, and no more."""
    monkeypatch.setattr(follow_module, "_SLOT_WITHIN_S", 0.1)
    log = live_log(empty_log())
    follow = Follow(log, Hub(log, subscribers_max=1))
    way = await follow.begin(everything, None)
    with pytest.raises(Overload):
        await follow.begin(everything, None)
    await way.close()
    ways = [await follow.begin(everything, START) for _ in range(follow_module.CATCHING_UP_MAX)]
    with pytest.raises(Overload):
        await follow.begin(everything, START)
    for way in ways:
        await way.close()
    await (await follow.begin(everything, START)).close()
    await follow.close()
    with pytest.raises(Ended):
        await follow.begin(everything, None)


async def test_a_broken_log_ends_subscriptions_and_the_next_one_begins_anew() -> None:
    """When the tail cannot go on its subscribers are told; whoever comes next gets a fresh tail."""
    log, broken = empty_log(), [True]

    class Breaking(MemoryReader):
        def consume(self, count_max: int = 1000, timeout_s: float = 0.1) -> list[Record]:
            if broken[0]:
                raise Transport("the broker is away")
            return super().consume(count_max, timeout_s)

    async with following(LiveLog(lambda: Breaking(log), EVENTS, PARTITIONS, CODEC)) as follow:
        way = await follow.begin(everything, None)
        with pytest.raises(Ended, match="the broker is away"):
            await take(way, 1)
        await way.close()
        broken[0] = False
        way = await follow.begin(everything, None)
        event = put(log, 1)
        assert (await take(way, 1))[0] == [event]
        await way.close()


async def test_a_filter_that_fails_ends_only_its_own_subscription() -> None:
    """A fault in one subscriber's filter is its own affair."""
    log = empty_log()

    def failing(event: LiveEvent) -> bool:
        raise KeyError(event)

    async with following(live_log(log)) as follow:
        bad, good = await follow.begin(failing, None), await follow.begin(everything, None)
        event = put(log, 1)
        assert (await take(good, 1))[0] == [event]
        with pytest.raises(Ended, match="cannot be applied"):
            await take(bad, 1)


@pytest.mark.parametrize(
    "positions", [(0,) * 8, (1, 127, 128, 300, 1 << 40, 0, 7, (1 << 62)), tuple(range(64))]
)
def test_a_position_survives_its_text(positions: Positions) -> None:
    """Text and back is the same position."""
    assert decode(encode(positions), len(positions)) == positions


@pytest.mark.parametrize(
    "text",
    ["", "x", "ä", "!!!!", "AQ", "AQAAAAAAAAA=x", encode((1,) * 7), encode((1,) * 9), "A" * 30_000, "AYCA"],
)
def test_a_text_that_is_no_position_is_refused(text: str) -> None:
    """Whatever a client sends, it is refused in a sentence."""
    with pytest.raises(BadInput, match="no position"):
        decode(text, 8)


def test_the_look_back_covers_what_a_client_resends() -> None:
    """Prefect's client resends at most 700 events and what it sent meanwhile."""
    assert LOOK_BACK >= 2_000
