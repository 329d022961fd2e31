"""The router beside decoding everything: in memory, then a backlog and single events on a real broker.

Usage: python bench/route.py [--events 200000] [--matching 0.02] [--no-broker]
"""

import argparse
import asyncio
import gc
import statistics
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from _report import keep, percentiles, table

from flows.core.index import TriggerIndex
from flows.core.predicate import Pattern
from flows.core.trigger import Trigger
from schemas.codec import Codec, fixed_codec, peek
from schemas.new_id import new_id
from schemas.record import EventRecord
from schemas.shard import shard
from schemas.topics import Topics, topics
from streams.clock import SystemClock
from streams.kafka.admin import ensure_topics
from streams.kafka.consumer import LogReader
from streams.kafka.fenced import Row
from streams.kafka.log_record import LogRecord
from streams.kafka.producer import EventProducer
from streams.kafka.record import Outgoing
from streams.local.broker import LocalBroker
from streams.local.ports import choose_port
from streams.router import router as router_module
from streams.router.health import PartitionHealth
from streams.router.partition import PartitionRouter, RouterLimits
from streams.router.ports import Mark, Stored
from streams.router.router import Router
from streams.router.rows import MARK
from streams.router.scan import Names
from streams.settings import KafkaSettings

MATCHING = "storage.object.created"
NAMES = [f"shop.order.step-{n}" for n in range(200)]
BATCH = router_module.SLICE
SINGLE_EVENTS = 400
EVERY_S = 0.02


class DecodeAll(PartitionRouter):
    """The same router without its scan: every event is decoded before the index is asked."""

    def _use(self, triggers_offset: int) -> None:
        super()._use(triggers_offset)
        self._names = Names(lambda _name: True)


class Acknowledged:
    """Takes rows and acknowledges them at once."""

    def __init__(self) -> None:
        self.rows = 0

    def write(self, rows: Sequence[Row]) -> "Future[list[int]]":
        self.rows += len(rows)
        done: Future[list[int]] = Future()
        done.set_result([])
        return done


class Definitions:
    """Ten triggers, of which one cares about 2 % of the events."""

    position = 10

    def __init__(self) -> None:
        others = [Trigger(name=f"t{n}", flow="f", expect=(Pattern(f"never.{n}"),)) for n in range(9)]
        self._index = TriggerIndex.compile(
            [*others, Trigger(name="files", flow="f", expect=(Pattern(MATCHING),))]
        )

    async def reached(self, _offset: int) -> None:
        return

    def in_force(self, _offset: int) -> TriggerIndex:
        return self._index


class NoStore:
    """The whole log is in the window, so nobody asks."""

    async def earlier(self, _ids: Collection[str], *, partition: int, before: int) -> Collection[str]:
        raise AssertionError((partition, before))


class EmptyLogs:
    """Nothing was written before."""

    async def bounds(self, _partition: int) -> tuple[int, int]:
        return 0, 0

    async def newest_mark(self, _partition: int) -> Mark | None:
        return None

    async def replay(
        self, _partition: int, _start: int, _end: int, _take: Callable[[Sequence[Stored]], None]
    ) -> None:
        return


def event(codec: Codec, number: int, name: str) -> bytes:
    """Return an event of about 450 bytes."""
    at = time.time_ns() // 1000
    return codec.encode(
        EventRecord(
            id=new_id(),
            event=name,
            resource_id=f"s3://landing/data-{number}.csv",
            occurred=at,
            received=at,
            resource=f'{{"resource.id":"s3://landing/data-{number}.csv","bucket":"landing","size":"4711"}}',
            related="[]",
            payload='{"note":"' + "x" * 190 + '"}',
            source="bench",
            causation_id=None,
            correlation_id=new_id(),
            follows=None,
            replay_of=None,
        )
    )


def events(codec: Codec, count: int, matching: float) -> list[bytes]:
    """Return `count` events of which a share matches."""
    every = round(1 / matching)
    return [event(codec, n, MATCHING if n % every == 0 else NAMES[n % 200]) for n in range(count)]


async def in_memory(make: type[PartitionRouter], values: Sequence[bytes]) -> float:
    """Return events per CPU second of one partition's routing, writing left out."""
    writer = Acknowledged()
    router = make(
        0,
        topics=topics(),
        codec=fixed_codec(),
        writer=writer,
        logs=EmptyLogs(),
        definitions=Definitions(),
        known_events=NoStore(),
        clock=SystemClock(),
        health=PartitionHealth(partition=0),
        limits=RouterLimits(ids_max=1_000_000),
    )
    await router.recover()
    records = [LogRecord("events", 0, n, 1, None, value, ()) for n, value in enumerate(values)]
    gc.collect()
    gc.freeze()  # a batch of the real thing does not lie among 200,000 others
    began_s = time.process_time()
    for at in range(0, len(records), BATCH):
        await router.route(records[at : at + BATCH])
    return len(records) / (time.process_time() - began_s)


def preload(kafka: KafkaSettings, names: Topics, values: Sequence[bytes]) -> None:
    """Write the backlog."""
    with EventProducer(kafka, linger_ms=20) as producer:
        for at in range(0, len(values), 5000):
            done = threading.Event()
            batch = [
                Outgoing(names.events.name, shard(value[6:42], names.events.partitions), None, value)
                for value in values[at : at + 5000]
            ]
            producer.produce_batch(batch, lambda _outcomes, done=done: done.set())  # type: ignore[misc]
            done.wait(30)


async def until(reached: Callable[[], bool]) -> None:
    """Look a hundred times a second, for two minutes at most."""
    for _ in range(12_000):
        if reached():
            return
        await asyncio.sleep(0.01)
    raise SystemExit("the router did not get there within two minutes")


async def backlog(
    kafka: KafkaSettings, names: Topics, make: type[PartitionRouter], count: int
) -> dict[str, float]:
    """Route a backlog with the whole router; return its rate by wall and by CPU time of this process."""
    router_module.PartitionRouter = make  # type: ignore[misc]
    router = Router(kafka, names, fixed_codec(), definitions=Definitions(), known_events=NoStore())
    task = asyncio.create_task(router.run())
    partitions = names.events.partitions
    await until(lambda: sum(h.state == "routing" for h in router.health()) == partitions)
    began_s, cpu_s = time.perf_counter(), time.process_time()
    behind = sum(h.position for h in router.health())
    await until(lambda: sum(h.position for h in router.health()) >= count)
    wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    router.stop()
    await task
    routed = count - behind
    return {"events_per_s": round(routed / wall_s), "events_per_cpu_s": round(routed / cpu_s)}


async def single(kafka: KafkaSettings, names: Topics) -> dict[str, Any]:
    """Send single events; return how long until each is seen in the log, and until its candidate is."""
    router_module.PartitionRouter = PartitionRouter  # type: ignore[misc]
    router = Router(kafka, names, fixed_codec(), definitions=Definitions(), known_events=NoStore())
    task = asyncio.create_task(router.run())
    seen: dict[str, dict[str, float]] = {names.events.name: {}, names.candidates.name: {}}
    stop = threading.Event()
    readers = [
        threading.Thread(target=watch, args=(kafka, t, seen[t.name], stop))
        for t in (names.events, names.candidates)
    ]
    for reader in readers:
        reader.start()
    await asyncio.sleep(3)
    codec, sent = fixed_codec(), {}
    with EventProducer(kafka, linger_ms=0) as producer:
        for number in range(SINGLE_EVENTS):
            value = event(codec, number, MATCHING)
            number_id = peek(value)[0]
            sent[number_id] = time.perf_counter()
            await producer.send(
                Outgoing(names.events.name, shard(number_id, names.events.partitions), None, value)
            )
            await asyncio.sleep(EVERY_S)
    await asyncio.sleep(1)
    stop.set()
    for reader in readers:
        await asyncio.to_thread(reader.join)
    router.stop()
    await task
    bare = [(seen[names.events.name][i] - at) * 1000 for i, at in sent.items()]
    both = [(seen[names.candidates.name][i] - at) * 1000 for i, at in sent.items()]
    added = [(seen[names.candidates.name][i] - seen[names.events.name][i]) * 1000 for i in sent]
    return {
        "bare_hop_ms": percentiles(bare),
        "to_candidate_ms": percentiles(both),
        "added_ms": percentiles(added),
    }


def watch(kafka: KafkaSettings, topic: Any, seen: dict[str, float], stop: threading.Event) -> None:
    """Note when each event, or its candidate, is seen."""
    codec = fixed_codec()
    from schemas.record import Candidate

    with LogReader(kafka, client_id="bench-watch") as reader:
        reader.assign({(topic.name, p): -1 for p in range(topic.partitions)})
        while not stop.is_set():
            for record in reader.consume(100, 0.05):
                at = time.perf_counter()
                number_id, name = peek(record.value or b"")
                if name == MARK:
                    continue
                if topic.schema == "candidate":
                    number_id = codec.decode(record.value or b"", Candidate).event_id or ""
                seen[number_id] = at


def on_a_broker(values: Sequence[bytes]) -> dict[str, Any]:
    """Run the parts that need a broker."""
    with TemporaryDirectory(prefix="ensue-bench-") as folder:
        broker = LocalBroker(Path(folder), choose_port())
        broker.start()
        try:
            figures: dict[str, Any] = {}
            for name, make in (("router", PartitionRouter), ("decode_all", DecodeAll)):
                kafka = broker.settings().model_copy(update={"topic_prefix": f"{name}."})
                names = topics(kafka.topic_prefix, 8)
                ensure_topics(kafka, names.all())
                preload(kafka, names, values)
                figures[name] = asyncio.run(backlog(kafka, names, make, len(values)))
            kafka = broker.settings().model_copy(update={"topic_prefix": "single."})
            names = topics(kafka.topic_prefix, 8)
            ensure_topics(kafka, names.all())
            time.sleep(5)  # a fresh partition's leader may deny being it for a moment
            figures["single"] = asyncio.run(single(kafka, names))
            return figures
        finally:
            broker.stop()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--matching", type=float, default=0.02)
    parser.add_argument("--no-broker", action="store_true")
    args = parser.parse_args()
    values = events(fixed_codec(), args.events, args.matching)
    rates: dict[str, list[float]] = {"router": [], "decode_all": []}
    for _ in range(5):  # in turn, so that a busy moment of the machine meets both
        rates["router"].append(asyncio.run(in_memory(PartitionRouter, values)))
        rates["decode_all"].append(asyncio.run(in_memory(DecodeAll, values[: args.events // 4])))
    middle = {name: statistics.median(found) for name, found in rates.items()}
    ratio = round(middle["router"] / middle["decode_all"], 1)
    figures: dict[str, Any] = {"events_per_cpu_s": {n: round(r) for n, r in middle.items()}, "ratio": ratio}
    table(
        [
            {"in memory": n, "events/s/core": round(r), "of decoding all": round(r / middle["decode_all"], 1)}
            for n, r in middle.items()
        ]
    )
    if not args.no_broker:
        figures["broker"] = on_a_broker(values)
        table([{"backlog": n, **figures["broker"][n]} for n in ("router", "decode_all")])
        table([{"single events": n, **figures["broker"]["single"][n]} for n in figures["broker"]["single"]])
    path = keep("route", figures, {"events": args.events, "matching": args.matching, "bytes": len(values[0])})
    print(f"ratio {ratio} (aim >= 10); kept in {path}")


if __name__ == "__main__":
    main()
