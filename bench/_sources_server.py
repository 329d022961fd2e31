"""The gateway that bench/sources.py asks, with a source of each kind; prints its port."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvloop

from schemas.codec import fixed_codec
from streams.gateway.kafka_log import KafkaEventLog
from streams.gateway.ports import EventLog, Row
from streams.gateway.server import serve
from streams.kafka.producer import EventProducer
from streams.settings import KafkaSettings, Settings
from streams.sources.cloudevents.body import CloudEventsBody
from streams.sources.kinds import hook_source
from streams.sources.trust import Trust

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KINDS = ("none", "bearer", "basic", "hmac", "github", "shopify", "stripe", "slack", "standard-webhooks", "s3")
DAY_S = 86_400.0
HMAC = {"header": "X-Signature", "algorithm": "sha256", "encoding": "hex"}


class Nowhere:
    """A log that has acknowledged everything already: what is left is the door's own work."""

    async def append(self, _topic: str, _rows: Sequence[Row]) -> Sequence[int]:
        return ()


class Visible:
    """A store that has everything; the benchmark is about the door."""

    async def visible(self, _event_id: str) -> bool:
        return True

    async def share_of_retention(self) -> float:
        return 0.0


def trust(kind: str) -> Trust:
    """Return what a kind believes here; two secrets are active, as while one is rotated."""
    if kind == "none":
        return Trust()
    secrets = (
        (b"user:password",)
        if kind == "basic"
        else (SECRET.encode(), b"whsec_b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk")
    )
    return Trust(secrets=secrets, tolerance_s=DAY_S, hmac=HMAC)


@contextmanager
def log(bootstrap: str, prefix: str) -> Iterator[EventLog]:
    """Yield a log: Kafka's, or one that keeps nothing."""
    if not bootstrap:
        yield Nowhere()
        return
    kafka = KafkaSettings(bootstrap_servers=bootstrap, topic_prefix=prefix)
    with EventProducer(kafka, client_id="bench-gateway", linger_ms=0) as producer:
        yield KafkaEventLog(producer)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", default="")
    parser.add_argument("--prefix", default="bench.")
    args = parser.parse_args()

    def listening(port: int, *_: object) -> None:
        print(port, flush=True)

    sources = {kind: hook_source(kind, kind, lambda kind=kind: trust(kind)) for kind in KINDS}
    with log(args.bootstrap, args.prefix) as made:
        await serve(
            Settings(port=0),
            log=made,
            codec=fixed_codec(),
            probe=Visible(),
            lag=Visible(),
            hooks=sources,
            form=CloudEventsBody(),
            on_listening=listening,
        )


if __name__ == "__main__":
    uvloop.run(main())
