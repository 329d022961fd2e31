"""Lists, look-ups and why over a real store."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from schemas.new_id import new_id
from streams.errors import BadInput, Transport
from streams.settings import ClickHouseSettings
from streams.store.queries.dead_letters import LetterFilter, find_dead_letter, list_dead_letters
from streams.store.queries.known import KnownEvents, known_events, known_runs, stored_offset, stored_offsets
from streams.store.queries.lists import (
    Filter,
    list_events,
    list_runs,
    list_triggers,
    list_verdicts,
)
from streams.store.queries.reader import StoreReader, plain
from streams.store.queries.why import find, why
from tests.connected.store_process import StoreProcess
from tests.connected.store_rows import SinkHarness
from tests.connected.store_story import START, Story

pytestmark = pytest.mark.connected


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Story, ClickHouseSettings]]:
    """The story, stored."""
    process = StoreProcess(tmp_path_factory.mktemp("store")).start()
    story = Story()
    SinkHarness(story.log, story.own, process.settings()).drain().finish()
    yield story, process.settings()
    process.stop()


@pytest.fixture
def story(told: tuple[Story, ClickHouseSettings]) -> Story:
    """What happened."""
    return told[0]


@pytest.fixture
def store(told: tuple[Story, ClickHouseSettings]) -> Iterator[StoreReader]:
    """A reader."""
    reader = StoreReader(told[1])
    yield reader
    reader.close()


def kinds(nodes: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(kind, id) of nodes."""
    return [(node["kind"], node["id"]) for node in nodes]


def test_why_of_the_second_run_leads_to_the_file(story: Story, store: StoreReader) -> None:
    """The chain up is file, firing, first run, its event, firing; each with the delay to the one before."""
    found = why(store, story.runs[1])
    assert kinds(found["up"]) == [
        ("event", story.file),
        ("firing", story.firings[0]),
        ("run", story.runs[0]),
        ("event", story.processed),
        ("firing", story.firings[1]),
    ]
    assert found["up"][0]["file"] == "a.csv"
    assert found["up"][0]["at"] == "2026-03-01T12:00:00.000000Z"
    assert [node["delay_s"] for node in found["up"]] == [None, 0.02, 0.0, 0.28, 0.02]
    assert found["subject"]["delay_s"] == 0.0
    assert found["subject"]["duration_s"] == 0.2
    assert found["up"][1]["reason"] == {"state": "Triggered"}
    assert [(task["id"], task["duration_s"]) for task in found["tasks"]] == [(story.tasks[1], 0.04)]
    assert [task["id"] for task in found["up"][2]["tasks"]] == [story.tasks[0]]
    assert found["down"] == []


def test_why_of_the_file_leads_to_everything(story: Story, store: StoreReader) -> None:
    """The tree down from the first event holds both firings, runs, the event between and all tasks."""
    found = why(store, story.file)
    assert found["up"] == []
    assert kinds(found["down"]) == [
        ("firing", story.firings[0]),
        ("run", story.runs[0]),
        ("event", story.processed),
        ("firing", story.firings[1]),
        ("run", story.runs[1]),
    ]
    assert [node["cause"] for node in found["down"]][:2] == [story.file, story.firings[0]]
    assert [node["distance"] for node in found["down"]] == [1, 2, 3, 4, 5]
    assert {task["id"] for task in found["tasks"]} == set(story.tasks)


def test_why_of_a_task_and_of_a_firing(story: Story, store: StoreReader) -> None:
    """A task run's cause is its run; a firing's are its events."""
    found = why(store, story.tasks[0])
    assert kinds(found["up"]) == [
        ("event", story.file),
        ("firing", story.firings[0]),
        ("run", story.runs[0]),
    ]
    assert kinds(why(store, story.firings[0])["up"]) == [("event", story.file)]


def test_id_may_be_shortened_while_it_is_unique(story: Story, store: StoreReader) -> None:
    """A unique start of an id is enough; an ambiguous one is refused with what it could be."""
    assert find(store, story.runs[0][:30]) == ("run", story.runs[0])
    with pytest.raises(BadInput, match="Several ids start with"):
        find(store, story.runs[0][:6])
    with pytest.raises(LookupError):
        find(store, new_id())
    with pytest.raises(BadInput):
        find(store, "not an id")


def test_lists_filter(story: Story, store: StoreReader) -> None:
    """Globs, names, states, times, id prefixes and limits narrow the lists, newest first."""
    assert len(list_events(store, Filter())) == 7
    assert [row["id"] for row in list_events(store, Filter(event="custom.*"))] == [story.processed]
    assert [row["id"] for row in list_events(store, Filter(resource="s3://*.csv"))] == [story.file]
    assert [row["id"] for row in list_events(store, Filter(resource="s3://*_csv"))] == []
    since = START + timedelta(milliseconds=200)
    assert [row["id"] for row in list_events(store, Filter(since=since))] == [story.processed]
    assert len(list_events(store, Filter(until=since, limit=3))) == 3
    assert [row["id"] for row in list_events(store, Filter(id_prefix=story.file))] == [story.file]
    first = list_events(store, Filter(id_prefix=story.file))[0]
    assert first["resource"]["bucket"] == "landing"
    assert first["payload"] == {"size": 3, "name": "ä"}
    assert [row["flow"] for row in list_runs(store, Filter(state="succeeded"))] == [
        "report",
        "process_new_file",
    ]
    assert [row["id"] for row in list_runs(store, Filter(flow="report"))] == [story.runs[1]]
    assert [row["id"] for row in list_runs(store, Filter(event="custom.*"))] == [story.runs[1]]
    assert list_runs(store, Filter(state="failed")) == []
    assert len(list_verdicts(store, Filter(trigger="report-trigger"))) == 1
    (letter,) = list_dead_letters(store, LetterFilter(stage="door", state="open"))
    found = find_dead_letter(store, letter["id"][:8])
    assert found is not None
    assert (found["raw_b64"], found["state"], found["history"]) == ("/w==", "open", [])
    assert [row["definition"] for row in list_triggers(store, Filter())] == [{"expect": ["x"]}]
    with pytest.raises(BadInput):
        list_events(store, Filter(limit=0))
    with pytest.raises(BadInput):
        list_events(store, Filter(since=datetime(2026, 1, 1)))  # noqa: DTZ001 - the point


async def test_look_ups(story: Story, store: StoreReader) -> None:
    """What is stored is known, by place too; progress says up to where."""
    fresh = new_id()
    assert known_events(store, [story.file, fresh]) == {story.file}
    assert known_runs(store, [story.runs[0], fresh]) == {story.runs[0]: "succeeded"}
    row = list_events(store, Filter(id_prefix=story.file))[0]
    partition, offset = row["partition"], row["offset"]
    assert known_events(store, [story.file], partition=partition, before=offset) == set()
    assert known_events(store, [story.file], partition=partition, before=offset + 1) == {story.file}
    assert stored_offset(store, story.own.run_log.name, 0) == 6
    assert stored_offset(store, "nowhere", 0) == 0
    assert stored_offsets(store)[story.own.verdicts.name, 0] == 2
    asked = KnownEvents(store, story.own.events.name)
    assert set(await asked.earlier([story.file], partition=partition, before=offset + 1)) == {story.file}
    with pytest.raises(Transport):
        await asked.earlier([story.file], partition=partition, before=1_000)


def test_every_stored_topic_has_its_table(story: Story, store: StoreReader) -> None:
    """Verdicts, runs, tasks, dead letters and triggers are stored, and the views read the latest state."""

    def rows(sql: str) -> list[tuple[Any, ...]]:
        return [tuple(map(plain, row)) for row in store.client().query(sql).result_rows]

    run, firing = story.runs[0], story.firings[0]
    assert rows(f"SELECT id, run_id, event_ids FROM firings WHERE id = '{firing}'") == [
        (firing, run, [story.file])
    ]
    assert rows(f"SELECT state, attempt FROM runs WHERE id = '{run}'") == [("succeeded", 1)]
    assert rows(f"SELECT count(), uniqExact(id) FROM run_log WHERE run_id = '{run}'") == [(3, 3)]
    assert rows(f"SELECT task, state FROM task_runs WHERE run_id = '{run}'") == [("load", "succeeded")]
    assert rows("SELECT hex(raw), stage FROM dead_letters") == [("FF", "door")]
    assert rows("SELECT name, removed FROM triggers") == [("report-trigger", False)]
    named = f"('{run}', '{story.tasks[0]}', '{firing}', '{story.processed}')"
    edges = rows(f"SELECT kind, cause_id FROM causes WHERE id IN {named} ORDER BY kind")
    assert edges == [("event", run), ("firing", story.file), ("run", firing), ("task_run", run)]
    effects = rows(f"SELECT effect_kind, effect_id FROM effects WHERE id = '{run}' ORDER BY effect_kind")
    assert effects == [("event", story.processed), ("task_run", story.tasks[0])]
