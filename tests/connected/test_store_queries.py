"""Lists, look-ups and why over a real store."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.event import micros
from schemas.new_id import new_id
from schemas.record import DeadLetter, RunLog, TaskLog, Trigger, Verdict
from schemas.topics import Topics, topics
from streams.errors import BadInput, Transport
from streams.kafka.memory import MemoryLog
from streams.kafka.record import Outgoing
from streams.settings import ClickHouseSettings
from streams.store.queries.known import KnownEvents, known_events, known_runs, stored_offset, stored_offsets
from streams.store.queries.lists import (
    Filter,
    list_dead_letters,
    list_events,
    list_runs,
    list_triggers,
    list_verdicts,
)
from streams.store.queries.reader import StoreReader
from streams.store.queries.why import find, why
from tests.connected.store_process import StoreProcess
from tests.connected.store_rows import CODEC, SinkHarness, append, event, memory_log

pytestmark = pytest.mark.connected
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Story:
    """A file arrives, a run loads it and emits, a second run reports."""

    def __init__(self) -> None:
        self.own: Topics = topics("story.", 2)
        self.log: MemoryLog = memory_log(self.own)
        self.file, self.processed = new_id(), new_id()
        self.firings = (new_id(), new_id())
        self.runs = (new_id(), new_id())
        self.tasks = (new_id(), new_id())
        self._events()
        for n, (cause, flow) in enumerate(((self.file, "process_new_file"), (self.processed, "report"))):
            self._verdict(n, cause, flow)
            self._run(n, cause, flow)

    def at(self, ms: int) -> int:
        """µs of `ms` after the start."""
        return micros(START + timedelta(milliseconds=ms))

    def _events(self) -> None:
        first = event(id=self.file, occurred=self.at(0), received=self.at(2), correlation_id=self.file)
        second = event(
            id=self.processed,
            event="custom.file_processed",
            resource_id="file.a.csv",
            resource='{"resource.id":"file.a.csv"}',
            occurred=self.at(300),
            received=self.at(300),
            causation_id=self.runs[0],
            correlation_id=self.file,
        )
        others = [event(occurred=self.at(n), event="noise.other", resource_id=f"r{n}") for n in range(5)]
        append(self.log, self.own, [first, second, *others])

    def _put(self, topic: Any, record: object) -> None:
        self.log.append(Outgoing(topic.name, 0, b"k", CODEC.encode(record)))

    def _verdict(self, n: int, cause: str, flow: str) -> None:
        verdict = Verdict(
            id=new_id(),
            event="ensue.trigger.fired",
            trigger=f"{flow}-trigger",
            trigger_version="1",
            flow=flow,
            event_id=cause,
            group_key="",
            verdict="fired",
            reason='{"state":"Triggered"}',
            at=self.at(20 + 300 * n),
            candidates_partition=0,
            candidates_offset=n,
            correlation_id=self.file,
            firing_id=self.firings[n],
            run_id=self.runs[n],
            event_ids=(cause,),
        )
        self._put(self.own.verdicts, verdict)

    def _run(self, n: int, cause: str, flow: str) -> None:
        base = 300 * n
        for seq, state in enumerate(("claimed", "running", "succeeded")):
            run = RunLog(
                id=new_id(),
                event=f"ensue.run.{state}",
                run_id=self.runs[n],
                seq=seq,
                flow=flow,
                flow_version="1",
                trigger=f"{flow}-trigger",
                firing_id=self.firings[n],
                state=state,
                at=self.at(base + 30 + seq),
                requested=self.at(base + 20),
                started=self.at(base + 40),
                ended=self.at(base + 240),
                attempt=1,
                worker="w",
                parameters='{"file_name":"a.csv"}',
                correlation_id=self.file,
                causation_id=cause,
                event_ids=(cause,),
            )
            self._put(self.own.run_log, run)
        task = TaskLog(
            id=new_id(),
            event="ensue.task.succeeded",
            task_run_id=self.tasks[n],
            run_id=self.runs[n],
            flow=flow,
            task="load",
            task_key="load-0",
            seq=1,
            state="succeeded",
            at=self.at(base + 90),
            started=self.at(base + 50),
            ended=self.at(base + 90),
            attempt=1,
            correlation_id=self.file,
        )
        self._put(self.own.task_log, task)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Story, ClickHouseSettings]]:
    """The story, stored."""
    process = StoreProcess(tmp_path_factory.mktemp("store")).start()
    story = Story()
    letter = DeadLetter(
        id=new_id(),
        event="ensue.dead_letter",
        stage="door",
        reason="undecodable",
        error="what",
        raw=b"\xff",
        headers="{}",
        at=story.at(0),
        source="hook",
    )
    trigger = Trigger(
        id=new_id(),
        event="ensue.trigger.deployed",
        name="report-trigger",
        version="1",
        definition='{"expect":["x"]}',
        flow="report",
        flow_version="1",
        flow_definition="{}",
        deployment_id=new_id(),
        published=story.at(0),
        published_by="me",
    )
    story._put(story.own.dead_letters, letter)
    story._put(story.own.triggers, trigger)
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
    assert [row["raw_b64"] for row in list_dead_letters(store, Filter(state="door"))] == ["/w=="]
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
