"""What happens from now on, read off Kafka: `--follow`."""

import fnmatch
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from schemas.codec import UndecodableError
from schemas.event import from_micros
from schemas.record import EventRecord, RunLog, Verdict
from streams.cli.context import need
from streams.kafka.batches import END
from streams.kafka.consumer import LogReader
from streams.settings import Settings
from streams.store.queries.lists import Filter
from streams.wiring.common import started_codec, topics_of

_TIMES = frozenset({"occurred", "received", "requested", "started", "ended", "at"})
_JSON = frozenset({"resource", "related", "payload", "reason", "parameters", "result", "error"})
_WAIT_S = 0.5


@contextmanager
def tail(settings: Settings, what: str, wanted: Filter) -> Iterator[Iterator[dict[str, Any]]]:
    """Yield an endless iterator of rows as they are written, beginning now; Ctrl-C ends it."""
    need(settings.kafka.bootstrap_servers, "Kafka broker", "ENSUE_KAFKA__BOOTSTRAP_SERVERS")
    names = topics_of(settings)
    topic, cls = {
        "events": (names.events, EventRecord),
        "runs": (names.run_log, RunLog),
        "verdicts": (names.verdicts, Verdict),
    }[what]
    codec = started_codec(settings)
    with LogReader(settings.kafka, client_id="ensue-follow") as reader:
        reader.assign({(topic.name, partition): END for partition in range(topic.partitions)})

        def rows() -> Iterator[dict[str, Any]]:
            while True:
                for record in reader.consume(1000, _WAIT_S):
                    try:
                        row = as_row(codec.decode(record.value or b"", cls))
                    except UndecodableError:
                        continue  # the sink makes a dead letter of it
                    if matches(row, wanted):
                        yield row

        try:
            yield rows()
        except KeyboardInterrupt:
            return


def as_row(item: Any) -> dict[str, Any]:
    """Return a record as the store's lists show it."""
    row = asdict(item)
    for name, value in row.items():
        if name in _TIMES and value is not None:
            row[name] = from_micros(value).isoformat(timespec="microseconds").replace("+00:00", "Z")
        elif name in _JSON and isinstance(value, str):
            row[name] = json.loads(value)
    if isinstance(item, RunLog):
        row["id"] = row.pop("run_id")
    return row


def matches(row: dict[str, Any], wanted: Filter) -> bool:
    """Tell whether a row passes the filter's names and states."""
    globs = (("event", wanted.event), ("resource_id", wanted.resource))
    exact = (("flow", wanted.flow), ("trigger", wanted.trigger))
    state = row.get("verdict", row.get("state", ""))
    return (
        all(not glob or fnmatch.fnmatchcase(str(row.get(name, "")), glob) for name, glob in globs)
        and all(not text or row.get(name) == text for name, text in exact)
        and (not wanted.state or state == wanted.state)
    )
