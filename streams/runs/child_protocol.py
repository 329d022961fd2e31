"""How a worker and its child processes talk: frames of JSON, a 4-byte length before each.

worker → child   prepare {file} · run {the job} · answer {number, problem?, event?}
child → worker   ready · started {at_us} · note {task…} · call {number, name, …}, which is answered ·
                 result {state, result, error, ended_us}
"""

import json
from dataclasses import asdict
from struct import Struct
from typing import Any

from flows.context import Recalled
from schemas.event import Event
from schemas.event_record import to_event, to_record
from schemas.record import EventRecord
from streams.runs.child_job import Job

LENGTH = Struct(">I")
FRAME_BYTES_MAX = 64 << 20  # a run request has at most 8 MiB of events; JSON in JSON grows
Message = dict[str, Any]


class BrokenFrame(Exception):
    """What came is no frame of ours: the other end is broken and must go."""


def pack(message: Message) -> bytes:
    """Return a message as a frame."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return LENGTH.pack(len(body)) + body


def body_bytes(header: bytes) -> int:
    """Return the length of the body that follows a header; raises BrokenFrame."""
    (length,) = LENGTH.unpack(header)
    if length > FRAME_BYTES_MAX:
        raise BrokenFrame(f"a frame of {length} bytes is longer than {FRAME_BYTES_MAX}")
    return int(length)


def unpack(body: bytes) -> Message:
    """Return the message of a body; raises BrokenFrame."""
    try:
        message = json.loads(body)
    except ValueError as error:
        raise BrokenFrame(f"a frame is not JSON: {error}") from None
    if not isinstance(message, dict) or not isinstance(message.get("kind"), str):
        raise BrokenFrame("a frame has no kind")
    return message


def event_json(event: Event) -> dict[str, Any]:
    """Return an event as JSON, times in µs."""
    return asdict(to_record(event))


def event_of(value: dict[str, Any]) -> Event:
    """Return the event of its JSON."""
    return to_event(EventRecord(**value))


def job_message(job: Job) -> Message:
    """Return a job as a message."""
    return {
        "kind": "run",
        "run_id": job.run_id,
        "flow": job.flow,
        "file": job.file,
        "version": job.version,
        "correlation_id": job.correlation_id,
        "timeout_s": job.timeout_s,
        "parameters": dict(job.parameters),
        "events": [event_json(event) for event in job.events],
        "recalled": {key: one.result for key, one in job.recalled.items()},
        "attempt": job.attempt,
        "depth": job.depth,
    }


def job_of(message: Message) -> Job:
    """Return the job of a message."""
    values = {name: value for name, value in message.items() if name != "kind"}
    values["events"] = tuple(event_of(one) for one in values["events"])
    values["recalled"] = {key: Recalled(result=text) for key, text in values["recalled"].items()}
    return Job(**values)
