"""What a subscriber of Prefect's missed, out of a real store: page by page, whole records, each once."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.record import EventRecord
from streams.gateway.prefect.stored import Page
from streams.settings import KafkaSettings, Settings
from streams.store.queries.reader import StoreReader
from streams.wiring.live import Stored
from tests.connected.store_process import StoreProcess
from tests.connected.store_rows import NOW_US, SinkHarness, append, event, memory_log

pytestmark = pytest.mark.connected
EVERYTHING = (1 << 60,) * 4
SETTINGS = Settings(kafka=KafkaSettings(topic_prefix="past.", partitions=4))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[EventRecord], Stored]]:
    """300 events of odd times, some sent twice, stored; and the gateway's view of them."""
    chance = random.Random(4)
    topics = SETTINGS.kafka.topics()
    log = memory_log(topics)
    records = [
        event(
            event=chance.choice(("order.created", "order.deleted", "file.created")),
            resource_id=f"r{number % 40}",
            resource=f'{{"resource.id":"r{number % 40}"}}',
            occurred=NOW_US + chance.randrange(50) * 1_000_000 - (number == 7) * 10**15,
            causation_id=None if number % 2 else event().id,
        )
        for number in range(300)
    ]
    append(log, topics, records)
    append(log, topics, records[::7])
    process = StoreProcess(Path(tmp_path_factory.mktemp("store"))).start()
    SinkHarness(log, topics, process.settings()).drain().finish()
    store = StoreReader(process.settings())
    yield records, Stored(SETTINGS, store)
    store.close()
    process.stop()


def pages(stored: Stored, **wanted: object) -> list[EventRecord]:
    """All pages, one after the other."""
    found: list[EventRecord] = []
    page = {"since_us": 0, "until_us": 1 << 62, "below": EVERYTHING, "limit": 17, **wanted}
    while True:
        events = stored.page(Page(**page))  # type: ignore[arg-type]
        found += [one.record for one in events]
        if len(events) < 17:
            return found
        page["after"] = (found[-1].occurred, found[-1].id)


def test_pages_give_each_record_once_as_it_was(told: tuple[list[EventRecord], Stored]) -> None:
    """Every field comes back; the order is by time; a copy is no second event."""
    records, stored = told
    found = pages(stored)
    assert [one.occurred for one in found] == sorted(one.occurred for one in records)
    assert {one.id: one for one in found} == {one.id: one for one in records}
    assert len(found) == len(records)


def test_a_page_is_bounded_by_time_and_names(told: tuple[list[EventRecord], Stored]) -> None:
    """Both ends of the time belong to it; names and prefixes are alternatives of their own."""
    records, stored = told
    since, until = NOW_US + 5_000_000, NOW_US + 20_000_000
    wanted = {one.id for one in records if since <= one.occurred <= until}
    assert {one.id for one in pages(stored, since_us=since, until_us=until)} == wanted
    created = {one.id for one in records if one.event.endswith("created")}
    assert {one.id for one in pages(stored, names=("order.created", "file.created"))} == created
    orders = {one.id for one in records if one.event.startswith("order.")}
    assert {one.id for one in pages(stored, prefixes=("order.", "x"))} == orders
    assert not pages(stored, names=("order.created",), prefixes=("file.",))


def test_a_page_ends_where_the_log_goes_on(told: tuple[list[EventRecord], Stored]) -> None:
    """Only what lies below the given offsets, partition by partition; the store says how far it is."""
    records, stored = told
    up_to = stored.stored_up_to()
    assert sum(up_to) == len(records) + len(records[::7])
    below = (0, 10, 20, 1 << 60)
    some = pages(stored, below=below)
    assert 0 < len(some) < len(records)
    assert not pages(stored, below=(0,) * 4)
    every = [
        one
        for p in range(4)
        for one in pages(stored, below=tuple(EVERYTHING[0] * (p == q) for q in range(4)))
    ]
    assert sorted(one.id for one in every) == sorted(one.id for one in records)
