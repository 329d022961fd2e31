"""What every part of the way needs: topics, a codec, the writer's secret, all awaited at start."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from pydantic import SecretStr

from schemas.codec import Codec
from schemas.topics import Topics
from streams.errors import BadInput, EnsueError, Transport
from streams.kafka.admin import wait_ready
from streams.registry.register import build_codec
from streams.settings import Settings

T = TypeVar("T")
START_WITHIN_S = 120.0
_POLL_S = 0.1
_log = logging.getLogger(__name__)


def topics_of(settings: Settings) -> Topics:
    """Return the topics of this installation."""
    return settings.kafka.topics()


def app_name(settings: Settings) -> str:
    """Return the first part of group and transactional ids: installations on one broker stay apart."""
    return settings.kafka.topic_prefix.rstrip(".") or "ensue"


def started_codec(settings: Settings) -> Codec:
    """Return the codec once broker and registry are up and our schemas are registered.

    All parts start at the same time; `ensue up` or `ensue deploy` registers. Gives up after 120 s.
    """
    if not settings.kafka.bootstrap_servers:
        raise BadInput("no Kafka broker is known: run `ensue up`, or set ENSUE_KAFKA__BOOTSTRAP_SERVERS")
    wait_ready(settings.kafka, START_WITHIN_S)
    return patiently(lambda: build_codec(settings, timeout_s=10.0), "the schema registry")


def patiently(call: Callable[[], T], whom: str, within_s: float = START_WITHIN_S) -> T:
    """Repeat `call` while services are starting; raise its last error after `within_s` seconds."""
    deadline = time.monotonic() + within_s
    said = False
    while True:
        try:
            return call()
        except (EnsueError, OSError) as error:
            if time.monotonic() > deadline:
                raise Transport(f"{whom} was not ready within {within_s:g} s: {error}") from error
            if not said:
                _log.info("waiting for %s: %s", whom, error)
                said = True
            time.sleep(_POLL_S)


def as_writer(settings: Settings) -> Settings:
    """Return the settings with the store's writer secret: set explicitly, else read from the data folder."""
    if settings.clickhouse.writer_password.get_secret_value():
        return settings
    path = settings.data / "store" / "writer.secret"
    try:
        secret = path.read_text("ascii").strip()
    except OSError as error:
        raise BadInput(
            f"the store's writer secret {path} cannot be read ({error.strerror}); run on the machine of the "
            "store, or set ENSUE_CLICKHOUSE__WRITER_PASSWORD"
        ) from error
    clickhouse = settings.clickhouse.model_copy(update={"writer_password": SecretStr(secret)})
    return settings.model_copy(update={"clickhouse": clickhouse})
