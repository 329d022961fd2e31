"""How fast events come in: single POSTs beside an empty endpoint, NDJSON beside a raw producer."""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from confluent_kafka import Producer

from bench._http_load import Load, post
from bench._report import keep, percentiles, table
from schemas.codec import fixed_codec
from schemas.topics import topics
from streams.gateway.item import Writer
from streams.gateway.parse import parse, parser_of
from streams.gateway.ports import Row
from streams.kafka.admin import ensure_topics
from streams.kafka.config import librdkafka_config
from streams.local.broker import LocalBroker
from streams.local.ports import choose_port
from streams.settings import KafkaSettings, LimitSettings

JSON, NDJSON = b"application/json", b"application/x-ndjson"
RESOURCES = 5_000


def event(number: int) -> bytes:
    """Return one event of 270 bytes, as a shop might send it."""
    return json.dumps(
        {
            "event": "order.created",
            "resource": {
                "resource.id": f"order://shop/{number % RESOURCES}",
                "shop": "berlin",
                "tier": "gold",
            },
            "payload": {
                "amount": number / 8,
                "currency": "EUR",
                "items": [{"sku": "A-1", "n": 2}, {"sku": "B-2", "n": 1}],
                "note": "please ring twice",
            },
        }
    ).encode()


@contextmanager
def server(kind: str, **options: object) -> Iterator[int]:
    """Start a server process; yield its port."""
    arguments = [
        text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", str(value))
    ]
    script = Path(__file__).with_name("_ingest_server.py")
    with subprocess.Popen(
        [sys.executable, str(script), kind, *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()
            process.wait(20)


def load(port: int, requests: list[bytes], *, seconds: float, connections: int) -> Load:
    """Run one load; every answer must be 202."""

    async def run() -> Load:
        made = Load(requests, seconds=seconds, connections=connections)
        await made.run(port)
        return made

    done = uvloop.run(run())
    if set(done.statuses) != {b"202"}:
        raise SystemExit(f"answers other than 202: {done.statuses}")
    return done


def rows_of(lines: list[bytes]) -> list[Row]:
    """Return the rows that the gateway would write."""
    codec = fixed_codec()
    writer = Writer(header=codec.header("event"), partitions=8, limits=LimitSettings())
    now_us = time.time_ns() // 1000
    body = b"\n".join(lines)
    batch = asyncio.run(
        parse(body, parser_of("application/x-ndjson"), writer, received_us=now_us, idempotency_key=None)
    )
    return list(batch.rows)


def raw_producer(kafka: KafkaSettings, topic: str, rows: list[Row]) -> float:
    """Return events/s of a bare producer with the same settings, acknowledged."""
    own = {"acks": "all", "enable.idempotence": True, "compression.type": "lz4", "linger.ms": 5}
    producer: Any = Producer(librdkafka_config(kafka, {**own, "queue.buffering.max.messages": len(rows) + 1}))
    producer.list_topics(timeout=10)
    failed: list[object] = []

    def delivered(error: object, _message: object) -> None:
        if error is not None:
            failed.append(error)

    began_s = time.perf_counter()
    for partition, key, value in rows:
        producer.produce(topic, value, key, partition, on_delivery=delivered)
        producer.poll(0)
    producer.flush()
    took_s = time.perf_counter() - began_s
    if failed:
        raise SystemExit(f"the raw producer failed: {failed[0]}")
    return len(rows) / took_s


def singles(kafka: KafkaSettings, *, seconds: float, rounds: int, connections: int) -> dict[str, Any]:
    """Compare single POSTs with an empty endpoint, in turn."""
    requests = [post(event(number), JSON) for number in range(2_000)]
    rates: dict[str, list[float]] = {"empty": [], "gateway": []}
    latencies: dict[str, list[float]] = {"empty": [], "gateway": []}
    with server("empty") as empty, server("gateway", bootstrap=kafka.bootstrap_servers) as gateway:
        for port in (empty, gateway):
            load(port, requests, seconds=0.5, connections=connections)
        for _ in range(rounds):
            for kind, port in (("empty", empty), ("gateway", gateway)):
                done = load(port, requests, seconds=seconds, connections=connections)
                rates[kind].append(len(done.latencies_ms) / seconds)
                latencies[kind] += done.latencies_ms
    ratios = [ours / theirs for ours, theirs in zip(rates["gateway"], rates["empty"], strict=True)]
    return {
        "empty_per_s": round(median(rates["empty"])),
        "gateway_per_s": round(median(rates["gateway"])),
        "ratio": round(median(ratios), 2),
        "empty_ms": percentiles(latencies["empty"]),
        "gateway_ms": percentiles(latencies["gateway"]),
    }


def batches(kafka: KafkaSettings, topic: str, *, seconds: float, rounds: int, lines: int) -> dict[str, Any]:
    """Compare NDJSON bodies with a raw producer of the same bytes, in turn."""
    events = [event(number) for number in range(lines * 10)]
    bodies = [post(b"\n".join(events[at : at + lines]), NDJSON) for at in range(0, len(events), lines)]
    rows = rows_of(events)
    gateway_rates, raw_rates = [], []
    with server("gateway", bootstrap=kafka.bootstrap_servers, linger_ms=5) as port:
        load(port, bodies, seconds=0.5, connections=2)
        for _ in range(rounds):
            raw_rates.append(raw_producer(kafka, topic, rows))
            began_s = time.perf_counter()
            done = load(port, bodies, seconds=seconds, connections=2)
            took_s = time.perf_counter() - began_s
            gateway_rates.append(len(done.latencies_ms) * lines / took_s)
    ratios = [ours / raw for ours, raw in zip(gateway_rates, raw_rates, strict=True)]
    return {
        "raw_producer_per_s": round(median(raw_rates)),
        "gateway_per_s": round(median(gateway_rates)),
        "ratio": round(median(ratios), 2),
        "lines_per_body": lines,
        "bytes_per_event": len(events[0]),
    }


@contextmanager
def broker(existing: str) -> Iterator[KafkaSettings]:
    """A broker of our own in a temporary folder, or an existing one."""
    if existing:
        yield KafkaSettings(bootstrap_servers=existing, topic_prefix=f"bench-{os.getpid()}.")
        return
    with tempfile.TemporaryDirectory(prefix="ensue-bench-") as folder:
        local = LocalBroker(Path(folder), choose_port())
        local.start()
        try:
            yield local.settings().model_copy(update={"topic_prefix": "bench."})
        finally:
            local.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--bootstrap", default="", help="an existing broker in place of our own")
    parser.add_argument("--connections", type=int, default=64)
    args = parser.parse_args()
    seconds, rounds = (2.0, 1) if args.quick else (5.0, 3)
    with broker(args.bootstrap) as kafka:
        events = topics(kafka.topic_prefix, kafka.partitions).events
        ensure_topics(kafka, [events])
        single = singles(kafka, seconds=seconds, rounds=rounds, connections=args.connections)
        batch = batches(kafka, events.name, seconds=seconds, rounds=rounds, lines=2_000)
    table(
        [
            {
                "what": "single POST",
                "beside": "an empty endpoint",
                "theirs/s": single["empty_per_s"],
                "ours/s": single["gateway_per_s"],
                "ratio": single["ratio"],
                "aim": "0.5",
            },
            {
                "what": "NDJSON events",
                "beside": "a raw producer",
                "theirs/s": batch["raw_producer_per_s"],
                "ours/s": batch["gateway_per_s"],
                "ratio": batch["ratio"],
                "aim": "0.3 or 40000/s",
            },
        ]
    )
    print(f"single POST ms: {single['gateway_ms']}")
    settings = {"quick": args.quick, "connections": args.connections, "seconds": seconds, "rounds": rounds}
    print(keep("ingest", {"single": single, "ndjson": batch}, settings))


if __name__ == "__main__":
    main()
