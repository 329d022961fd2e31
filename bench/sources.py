"""What it costs to make sure of a sender: each scheme beside plain `POST /events`, on one server, in turn."""

import argparse
import base64
import hashlib
import hmac
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench._http_load import Load, request
from bench._report import keep, percentiles, table
from bench._sources_server import SECRET
from streams.kafka.admin import ensure_topics
from streams.local.broker import LocalBroker
from streams.local.ports import choose_port

AIM = 1.3
REQUESTS = 2_000
PLAIN = "POST /events"
HMAC_KINDS = ("hmac", "github", "shopify", "stripe", "slack", "standard-webhooks")
DATA = {
    "amount": 12.5,
    "currency": "EUR",
    "items": [{"sku": "A-1", "n": 2}, {"sku": "B-2", "n": 1}],
    "note": "twice",
}


def mac(key: bytes, message: bytes) -> bytes:
    """Return the HMAC that the schemes share."""
    return hmac.new(key, message, hashlib.sha256).digest()


def webhook(number: int) -> bytes:
    """Return a webhook's body, of the length of an event's."""
    resource = {
        "id": f"order-{number}",
        "shop": "berlin",
        "tier": "gold",
        "url": "https://shop.example/orders",
    }
    return json.dumps(
        {
            "id": f"evt_{number}",
            "type": "order.paid",
            "created": 1_800_000_000,
            **DATA,
            "data": {"object": resource},
        }
    ).encode()


def event(number: int) -> bytes:
    """Return one event as POST /events takes it."""
    resource = {"resource.id": f"order://shop/{number}", "shop": "berlin", "tier": "gold"}
    return json.dumps({"event": "order.paid", "resource": resource, "payload": DATA}).encode()


def cloud_event(number: int) -> bytes:
    """Return the same as a CloudEvent in structured mode."""
    head = {
        "specversion": "1.0",
        "id": f"e{number}",
        "source": "/shop",
        "type": "order.paid",
        "subject": f"order-{number}",
    }
    return json.dumps({**head, "time": "2026-11-22T14:16:32.270Z", "data": DATA}).encode()


def record(number: int) -> bytes:
    """Return a notification of Amazon S3."""
    item = {
        "key": f"in/order-{number}.csv",
        "size": 1024,
        "eTag": "d41d8cd98f00b204",
        "sequencer": f"{number:016X}",
    }
    return json.dumps(
        {
            "Records": [
                {
                    "eventVersion": "2.1",
                    "eventSource": "aws:s3",
                    "eventTime": "2026-11-22T14:16:32.270Z",
                    "eventName": "ObjectCreated:Put",
                    "s3": {"bucket": {"name": "inbox"}, "object": item},
                }
            ]
        }
    ).encode()


def signed(kind: str, number: int, body: bytes, at: str) -> dict[str, str]:
    """Return the headers with which a kind proves itself."""
    key, time_bytes = SECRET.encode(), at.encode()
    message_id = f"msg_{number}"
    decoded = base64.b64decode(SECRET.removeprefix("whsec_"))
    standard = (
        mac(decoded, b".".join([message_id.encode(), time_bytes, body]))
        if kind == "standard-webhooks"
        else b""
    )
    made: Mapping[str, Callable[[], dict[str, str]]] = {
        "none": dict,
        "s3": lambda: {"Authorization": f"Bearer {SECRET}"},
        "bearer": lambda: {"Authorization": f"Bearer {SECRET}"},
        "basic": lambda: {"Authorization": "Basic " + base64.b64encode(b"user:password").decode()},
        "hmac": lambda: {"X-Signature": mac(key, body).hex()},
        "github": lambda: {
            "X-GitHub-Event": "push",
            "X-GitHub-Delivery": f"72d3162e-cc78-11e3-81ab-{number:012x}",
            "X-Hub-Signature-256": f"sha256={mac(key, body).hex()}",
        },
        "shopify": lambda: {
            "X-Shopify-Topic": "orders/paid",
            "X-Shopify-Webhook-Id": f"b54557e4-bdd9-4b37-8a5f-{number:012x}",
            "X-Shopify-Shop-Domain": "berlin.myshopify.com",
            "X-Shopify-Hmac-Sha256": base64.b64encode(mac(key, body)).decode(),
        },
        "stripe": lambda: {"Stripe-Signature": f"t={at},v1={mac(key, b'.'.join([time_bytes, body])).hex()}"},
        "slack": lambda: {
            "X-Slack-Request-Timestamp": at,
            "X-Slack-Signature": "v0=" + mac(key, b":".join([b"v0", time_bytes, body])).hex(),
        },
        "standard-webhooks": lambda: {
            "webhook-id": message_id,
            "webhook-timestamp": at,
            "webhook-signature": "v1," + base64.b64encode(standard).decode(),
        },
    }
    return made[kind]()


def requests() -> dict[str, list[bytes]]:
    """Return what is sent, by scheme."""
    json_type, at = {"Content-Type": "application/json"}, str(int(time.time()))
    cloud = {"Content-Type": "application/cloudevents+json"}
    numbers = range(REQUESTS)
    found = {
        PLAIN: [request("/events", json_type, event(n)) for n in numbers],
        "CloudEvent": [request("/events", cloud, cloud_event(n)) for n in numbers],
    }
    for kind in ("none", "bearer", "basic", "s3", *HMAC_KINDS):
        bodies = [record(n) if kind == "s3" else webhook(n) for n in numbers]
        found[kind] = [
            request(f"/hooks/{kind}", {**json_type, **signed(kind, n, bodies[n], at)}, bodies[n])
            for n in numbers
        ]
    return found


@contextmanager
def server(bootstrap: str) -> Iterator[tuple[int, psutil.Process]]:
    """Start the server; yield its port and process."""
    script = Path(__file__).with_name("_sources_server.py")
    command = [sys.executable, "-m", "bench._sources_server", "--bootstrap", bootstrap]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=script.parents[1]) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(20)


def cpu_s(process: psutil.Process) -> float:
    """Return the processor time that a process has used."""
    used = process.cpu_times()
    return float(used.user + used.system)


def load(port: int, sent: list[bytes], *, seconds: float, connections: int) -> Load:
    """Run one load; every answer must be 202."""

    async def run() -> Load:
        made = Load(sent, seconds=seconds, connections=connections)
        await made.run(port)
        return made

    done = uvloop.run(run())
    if set(done.statuses) - {b"202", b"200"}:
        raise SystemExit(f"answers other than 2xx: {done.statuses}")
    return done


def measured(bootstrap: str, *, seconds: float, rounds: int, connections: int) -> dict[str, Any]:
    """Ask by each scheme in turn; return requests/s, µs of processor time a request, and their ratios."""
    sent = requests()
    rates: dict[str, list[float]] = {scheme: [] for scheme in sent}
    costs: dict[str, list[float]] = {scheme: [] for scheme in sent}
    latencies: dict[str, list[float]] = {scheme: [] for scheme in sent}
    with server(bootstrap) as (port, process):
        for bodies in sent.values():
            load(port, bodies, seconds=0.3, connections=connections)
        for _ in range(rounds):
            for scheme, bodies in sent.items():
                before_s, began_s = cpu_s(process), time.perf_counter()
                done = load(port, bodies, seconds=seconds, connections=connections)
                count = len(done.latencies_ms)
                rates[scheme].append(count / (time.perf_counter() - began_s))
                costs[scheme].append((cpu_s(process) - before_s) / count * 1e6)
                latencies[scheme] += done.latencies_ms
    return {
        scheme: {
            "per_s": round(median(rates[scheme])),
            "cpu_us": round(median(costs[scheme]), 1),
            # Of each round: what disturbed one scheme then disturbed its neighbour too.
            "ratio": round(median(a / b for a, b in zip(costs[scheme], costs[PLAIN], strict=True)), 2),
            "ms": percentiles(latencies[scheme]),
            "body_bytes": len(sent[scheme][0].partition(b"\r\n\r\n")[2]),
        }
        for scheme in sent
    }


@contextmanager
def broker(wanted: bool) -> Iterator[str]:
    """Yield the address of a broker in a temporary folder, or nothing."""
    if not wanted:
        yield ""
        return
    with tempfile.TemporaryDirectory(prefix="ensue-bench-") as folder:
        local = LocalBroker(Path(folder), choose_port())
        local.start()
        try:
            kafka = local.settings().model_copy(update={"topic_prefix": "bench."})
            ensure_topics(kafka, [kafka.topics().events, kafka.topics().dead_letters])
            yield kafka.bootstrap_servers
        finally:
            local.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument(
        "--broker", action="store_true", help="into Kafka; without it the door's own work counts"
    )
    parser.add_argument("--connections", type=int, default=32)
    args = parser.parse_args()
    seconds, rounds = (1.0, 1) if args.quick else (2.0, 5)
    with broker(args.broker) as bootstrap:
        found = measured(bootstrap, seconds=seconds, rounds=rounds, connections=args.connections)
    table(
        [
            {
                "scheme": scheme,
                "requests/s": figures["per_s"],
                "CPU us": figures["cpu_us"],
                "ratio": figures["ratio"],
                "aim": AIM if scheme in HMAC_KINDS else "",
            }
            for scheme, figures in found.items()
        ]
    )
    settings = {
        "quick": args.quick,
        "broker": args.broker,
        "connections": args.connections,
        "seconds": seconds,
    }
    print(keep("sources", found, {**settings, "rounds": rounds, "requests": REQUESTS, "aim": AIM}))


if __name__ == "__main__":
    main()
