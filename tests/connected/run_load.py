"""Requests and claims in numbers, for tests and the benchmark of runs."""

import asyncio
import time

from flows.testing import make_event
from schemas.event_record import to_record
from schemas.identity import derived_id
from schemas.record import Journal, RunRequest
from streams.kafka.fenced import Row
from streams.kafka.log_record import LogRecord
from streams.runs.engine import RunEngine
from streams.runs.steps import CLAIMED, EVENT_PREFIX, journal_key
from tests.connected.run_process import RunProcess

CHUNK = 1000


def request(engine: RunEngine, version: str, number: int, kind: str) -> LogRecord:
    """Return a request for the flow `short` with one event, as the reader hands it on."""
    run_id, now_us = derived_id("run", kind, number), time.time_ns() // 1000
    event = make_event("file.created", {"resource.id": f"file.{number}"}, payload={"text": "x" * 200})
    item = RunRequest(
        id=run_id,
        event="ensue.run.requested",
        flow="short",
        flow_version=version,
        trigger="t",
        trigger_version="1",
        firing_id=None,
        parameters="{}",
        requested=now_us,
        event_occurred=now_us,
        correlation_id=event.id,
        causation_id=event.id,
        event_ids=(event.id,),
        events=(engine.codec.encode(to_record(event)),),
        depth=1,
    )
    return LogRecord("runs", 0, number, now_us // 1000, run_id.encode(), engine.codec.encode(item), ())


async def claim_and_die(worker: RunProcess, version: str, count: int) -> None:
    """Write so many claims as an owner that ends none of them; `worker` is not started otherwise."""
    await asyncio.to_thread(worker.fence.open)
    for at in range(0, count, CHUNK):
        rows = [_claim(worker, request(worker.engine, version, n, "former")) for n in range(at, at + CHUNK)]
        await asyncio.wrap_future(worker.fence.write(rows))
    await asyncio.to_thread(worker.fence.close)


def _claim(worker: RunProcess, record: LogRecord) -> Row:
    run_id = (record.key or b"").decode()
    claim = Journal(
        id=derived_id("journal", run_id, 0),
        event=EVENT_PREFIX + CLAIMED,
        run_id=run_id,
        seq=0,
        kind=CLAIMED,
        at=1,
        worker="former",
        state="claimed",
        request=record.value,
    )
    return Row(worker.topics.journal.name, 0, journal_key(run_id, 0), worker.engine.codec.encode(claim))
