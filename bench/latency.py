"""POST to the first line of the flow, beside a bare produce → consume on the same broker in the same run.

Usage: python bench/latency.py [--seconds 30] [--rates 50,200]
"""

import argparse
import asyncio
import json
import threading
import time
from typing import Any

import httpx
from _report import keep, percentiles, table
from _system import running
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.local.instance import Instance

FLOWS = """
import time

from flows import event_trigger, flow

@flow(on=event_trigger("bench.latency"), parameters={"sent_ns": "{{ event.payload.sent_ns }}"})
def first_line(sent_ns):
    return {"sent_ns": int(sent_ns), "first_line_ns": time.time_ns()}
"""
WARM_UP = 100
PROBE_TOPIC = "bench-bare-hop"


async def post_at(instance: Instance, rate: float, seconds: float) -> int:
    """Post events one by one at a fixed rate, whatever the answers take; return how many."""
    count = int(rate * seconds)
    began = time.perf_counter()
    async with httpx.AsyncClient(
        base_url=instance.api_url, timeout=30, limits=httpx.Limits(max_connections=64)
    ) as client:
        pending: set[asyncio.Task[Any]] = set()
        for number in range(count):
            wait_s = began + number / rate - time.perf_counter()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            task = asyncio.create_task(post_one(client, number))
            pending.add(task)
            task.add_done_callback(pending.discard)
        await asyncio.gather(*pending)
    return count


async def post_one(client: httpx.AsyncClient, number: int) -> None:
    """Post one event that carries its time of sending."""
    body = {
        "event": "bench.latency",
        "resource": {"resource.id": f"thing.{number % 1000}"},
        "payload": {"sent_ns": str(time.time_ns())},
    }
    answer = await client.post("/events", json=body)
    answer.raise_for_status()


def results(instance: Instance, expected: int, timeout_s: float = 120.0) -> list[float]:
    """Wait for the runs and return the milliseconds from POST to first line."""
    query = "SELECT result FROM runs WHERE state = 'succeeded' AND flow = 'first_line' ORDER BY requested"
    deadline = time.monotonic() + timeout_s
    while True:
        answer = httpx.post(
            instance.clickhouse_url,
            params={"database": "ensue", "default_format": "JSONColumns"},
            content=query,
            timeout=30,
        )
        found = answer.json().get("result", []) if answer.status_code == 200 else []
        if len(found) >= expected or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    if len(found) < expected:
        raise SystemExit(f"only {len(found)} of {expected} runs ended within {timeout_s:g} s")
    both = [json.loads(text) for text in found]
    return [(one["first_line_ns"] - one["sent_ns"]) / 1e6 for one in both]


def bare_hop(instance: Instance, rate: float, seconds: float) -> list[float]:
    """Produce and consume single records at a rate with confluent-kafka; return milliseconds."""
    servers = {"bootstrap.servers": instance.bootstrap_servers}
    admin = AdminClient(servers)
    if PROBE_TOPIC not in admin.list_topics(timeout=10).topics:
        admin.create_topics([NewTopic(PROBE_TOPIC, 1, 1)])[PROBE_TOPIC].result(10)
    consumer = Consumer({**servers, "group.id": "bench", "enable.auto.commit": False})
    low, high = consumer.get_watermark_offsets(TopicPartition(PROBE_TOPIC, 0), timeout=10)
    consumer.assign([TopicPartition(PROBE_TOPIC, 0, max(low, high))])
    took: list[float] = []
    count = int(rate * seconds)

    def consume() -> None:
        while len(took) < count:
            message = consumer.poll(1.0)
            if message is not None and not message.error():
                took.append((time.time_ns() - int(message.value())) / 1e6)

    reader = threading.Thread(target=consume, daemon=True)
    reader.start()
    time.sleep(1.0)
    producer = Producer({**servers, "acks": "all", "enable.idempotence": True, "linger.ms": 0})
    began = time.perf_counter()
    for number in range(count):
        time.sleep(max(0.0, began + number / rate - time.perf_counter()))
        producer.produce(PROBE_TOPIC, str(time.time_ns()).encode(), partition=0)
        producer.poll(0)
    producer.flush(10)
    reader.join(30)
    consumer.close()
    return took


def main() -> None:
    """Run, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rates", default="50,200")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    rows = []
    with running(FLOWS) as instance:
        asyncio.run(post_at(instance, 50, WARM_UP / 50))
        seen = len(results(instance, WARM_UP))
        for rate in map(float, options.rates.split(",")):
            hop = percentiles(bare_hop(instance, rate, options.seconds))
            seen += asyncio.run(post_at(instance, rate, options.seconds))
            chain = percentiles(results(instance, seen)[-int(rate * options.seconds) :])
            ratio = {"p50": round(chain["p50"] / hop["p50"], 2), "p99": round(chain["p99"] / hop["p99"], 2)}
            figures[f"{rate:g}/s"] = {"bare_hop_ms": hop, "post_to_first_line_ms": chain, "ratio": ratio}
            rows += [
                {"path": "bare hop", "rate/s": rate, **hop},
                {"path": "POST to first line", "rate/s": rate, **chain},
            ]
            rows.append({"path": "ratio", "rate/s": rate, **ratio})
    table(
        [
            {key: row.get(key, "") for key in ("path", "rate/s", "n", "p50", "p95", "p99", "max")}
            for row in rows
        ]
    )
    print("kept in", keep("latency", figures, vars(options)))


if __name__ == "__main__":
    main()
