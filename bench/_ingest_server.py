"""The servers that bench/ingest.py compares, each in a process of its own; prints its port."""

import argparse
from typing import Any

import uvloop

from schemas.codec import fixed_codec
from streams.gateway.kafka_log import KafkaEventLog
from streams.gateway.server import bind, run_app, serve
from streams.kafka.producer import EventProducer
from streams.settings import KafkaSettings, Settings


class Visible:
    """A store that has everything; the benchmark is about the way into Kafka."""

    async def visible(self, _event_id: str) -> bool:
        return True

    async def share_of_retention(self) -> float:
        return 0.0


async def empty(_scope: Any, receive: Any, send: Any) -> None:
    """Read the body and answer as the gateway does, with nothing between."""
    while (await receive()).get("more_body"):
        pass
    body = b'{"ids":["01890a5d-ac96-774b-bcce-b302099a8057"]}'
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("empty", "gateway"))
    parser.add_argument("--bootstrap", default="")
    parser.add_argument("--prefix", default="bench.")
    parser.add_argument("--linger-ms", type=float, default=0)
    args = parser.parse_args()

    def listening(port: int, *_: object) -> None:
        print(port, flush=True)

    if args.kind == "empty":
        await run_app(empty, bind("127.0.0.1", 0), on_listening=listening)
        return
    kafka = KafkaSettings(bootstrap_servers=args.bootstrap, topic_prefix=args.prefix)
    with EventProducer(kafka, client_id="bench-gateway", linger_ms=args.linger_ms) as producer:
        await serve(
            Settings(port=0, kafka=kafka),
            log=KafkaEventLog(producer),
            codec=fixed_codec(),
            probe=Visible(),
            lag=Visible(),
            hooks={},
            on_listening=listening,
        )


if __name__ == "__main__":
    uvloop.run(main())
