"""What storing an event costs: CPU per event, all threads and processes.

Usage: python bench/sink.py [--events 100000]

In one process, into the store's own table: the sink's path (id window, container, insert) beside fastavro
decoding with clickhouse-connect's column insert over HTTP, and beside prepared Native bytes, which is what
ClickHouse itself takes. Then whole: a sink over a log in memory into a store process over HTTP.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import psutil
from _report import keep, table
from identity_forms import cpu_s, messages
from pydantic import SecretStr

from schemas import avro_schema
from schemas.codec import Codec, FixedRegistry, fixed_codec, peek
from schemas.dedupe import IdWindow
from schemas.event import from_micros
from schemas.record import DeadLetter, EventRecord
from schemas.topics import Topics, topics
from streams.clock import SystemClock
from streams.kafka.memory import MemoryLog, MemoryReader
from streams.kafka.record import Outgoing
from streams.settings import ClickHouseSettings
from streams.store.client import StoreWriter
from streams.store.connect import connect
from streams.store.container import Container
from streams.store.engine import Engine
from streams.store.sink import Batching, Sink
from streams.store.sink_insert import Inserter
from streams.store.sink_start import open_places
from streams.store.statements import Statements
from streams.store.tables import targets

BATCH = 20_000
AIM_US = 12.0
SERVE = """
import asyncio, sys
from pathlib import Path
from streams.store.server import serve
asyncio.run(serve(Path(sys.argv[1]), port=int(sys.argv[2]), on_ready=lambda port: print(port, flush=True)))
"""
UUIDS = frozenset(("id", "causation_id", "correlation_id", "follows", "replay_of"))


def batches(made: Sequence[bytes]) -> list[tuple[int, Sequence[bytes]]]:
    """Cut messages into (first offset, batch)."""
    return [(start, made[start : start + BATCH]) for start in range(0, len(made), BATCH)]


def best_of(
    count: int, run: Callable[[], None], used_s: Callable[[], float] = cpu_s, rounds: int = 3
) -> float:
    """Return the smallest CPU time of a run in µs per event."""
    best_s = float("inf")
    for _ in range(rounds):
        began_s = used_s()
        run()
        best_s = min(best_s, used_s() - began_s)
    return best_s / count * 1e6


def in_process(made: Sequence[bytes], folder: Path) -> dict[str, float]:
    """CPU of the sink's steps and of prepared bytes, with the engine in this process."""
    engine = Engine(folder, "ensue")
    Statements(engine)
    container = Container("events", avro_schema.text("event"), "Event")
    into = f"INSERT INTO events ({', '.join(container.columns)})"

    def files() -> list[bytes]:
        window = IdWindow(3_600_000_000, 10_000_000, from_start=True)
        done = []
        for start, some in batches(made):
            rows = [
                (n % 8, n, row) for n, row in enumerate(some, start) if window.seen(peek(row)[0], n) == "new"
            ]
            done.append(container.file(rows))
        return done

    with engine.writer() as handle:
        handle.query("TRUNCATE TABLE events")

        def sink_path() -> None:
            for file in files():
                handle.insert(into, "Avro", file)

        whole = best_of(len(made), sink_path)
        handle.query("TRUNCATE TABLE events")
        for file in files():
            handle.insert(into, "Avro", file)
        native = handle.query(f"SELECT {', '.join(container.columns)} FROM events", "Native").data
        handle.query("TRUNCATE TABLE events")
        prepared = best_of(len(made), lambda: handle.insert(into, "Native", native))  # type: ignore[func-returns-value,arg-type,return-value]
    only_python = best_of(len(made), lambda: files() and None)
    engine.close()
    return {"window + container": only_python, "sink path": whole, "prepared Native": prepared}


class Store:
    """A store process."""

    def __init__(self, data: Path) -> None:
        data.mkdir()
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(data), "0"], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        port = int(self._process.stdout.readline())
        secret = (data / "store" / "writer.secret").read_text()
        self.settings = ClickHouseSettings(url=f"http://127.0.0.1:{port}", writer_password=SecretStr(secret))
        self._usage = psutil.Process(self._process.pid)

    def cpu_s(self) -> float:
        """CPU of the store and of this process."""
        used = self._usage.cpu_times()
        return used.user + used.system + cpu_s()

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(20)


def decoded(made: Sequence[bytes], store: Store) -> float:
    """CPU of decoding every event and inserting columns with clickhouse-connect."""
    codec = fixed_codec()
    client = connect(store.settings, writer=True)

    def run() -> None:
        for start, some in batches(made):
            records = [codec.decode(codec.header("event") + row[5:], EventRecord) for row in some]
            columns: dict[str, Sequence[Any]] = {
                "topic": ["events"] * len(records),
                "partition": [0] * len(records),
                "offset": list(range(start, start + len(records))),
            }
            for name in EventRecord.__slots__:
                values: list[Any] = [getattr(record, name) for record in records]
                if name in UUIDS:
                    values = [None if value is None else UUID(value) for value in values]
                elif name in {"occurred", "received"}:
                    values = [from_micros(value) for value in values]
                columns["resource_text" if name == "resource" else name] = values
            client.insert("events", list(columns.values()), column_names=list(columns), column_oriented=True)

    return best_of(len(made), run, store.cpu_s)


class NoLetters:
    """Nothing is refused here."""

    def put(self, letter: DeadLetter) -> None:
        """Fail."""
        raise AssertionError(letter)


def through_http(made: Sequence[bytes], store: Store) -> tuple[float, float]:
    """CPU and rate of a sink over a log in memory into the store process."""
    codec: Codec = fixed_codec()
    header = codec.header("event")
    rates: list[float] = []
    costs: list[float] = []
    for number in range(3):
        own: Topics = topics(f"bench{number}.", 8)
        log = MemoryLog({topic.name: topic.partitions for topic in own.all()})
        for n, row in enumerate(made):
            log.append(Outgoing(own.events.name, n % 8, None, header + row[5:]))
        writer = StoreWriter(store.settings, number)
        writer.migrate()
        writer.take_lease()
        reader = MemoryReader(log)
        places = open_places(
            targets(own),
            ordinal=0,
            of=1,
            log=reader,
            store=writer,
            dedupe_for_us=3_600_000_000,
            dedupe_ids_max=1_000_000,
        )
        inserter = Inserter(writer, FixedRegistry(), NoLetters(), SystemClock(), lambda _: None)
        sink = Sink(places, reader, writer, inserter, Batching(records=BATCH))
        began_s, used_s = time.perf_counter(), store.cpu_s()
        while sink.stored_records < len(made):
            sink.step()
        costs.append((store.cpu_s() - used_s) / len(made) * 1e6)
        rates.append(len(made) / (time.perf_counter() - began_s))
        writer.close()
    return min(costs), max(rates)


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    count = parser.parse_args().events
    made = messages(count, maps=False)
    with TemporaryDirectory() as folder:
        figures = in_process(made, Path(folder) / "own")
        store = Store(Path(folder) / "served")
        try:
            figures["fastavro + insert (HTTP)"] = decoded(made, store)
            figures["sink to store process (HTTP)"], rate = through_http(made, store)
        finally:
            store.close()
    native = figures["prepared Native"]
    table(
        [
            {"path": name, "us CPU/event": f"{cost:.2f}", "x Native": f"{cost / native:.1f}"}
            for name, cost in figures.items()
        ]
    )
    size_bytes = sum(map(len, made)) // count
    print(f"{rate:,.0f} events/s through one sink; events of {size_bytes} bytes; aim <= {AIM_US} us")
    keep(
        "sink",
        {**figures, "events_per_s": rate},
        {"events": count, "batch": BATCH, "event_bytes": size_bytes},
    )


if __name__ == "__main__":
    main()
