"""librdkafka's own log lines, through Python's logging and not ten times a second."""

import logging
import time

REPEAT_AFTER_S = 30.0
_KEPT_MAX = 1000


class OncePerWhile(logging.Filter):
    """Lets a kind of line of one client through once per `REPEAT_AFTER_S`.

    A broker that is away or refuses us is told at each attempt to reconnect, several times a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last_s: dict[object, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is new enough."""
        # confluent-kafka logs with the arguments (kind, client, text).
        kind = record.args[:2] if isinstance(record.args, tuple) else record.msg
        now_s = time.monotonic()
        if now_s - self._last_s.get(kind, -REPEAT_AFTER_S) < REPEAT_AFTER_S:
            return False
        if len(self._last_s) >= _KEPT_MAX:
            self._last_s.clear()
        self._last_s[kind] = now_s
        return True


def client_logger() -> logging.Logger:
    """Return the logger that every client is given."""
    logger = logging.getLogger("streams.kafka.librdkafka")
    if not any(isinstance(known, OncePerWhile) for known in logger.filters):
        logger.addFilter(OncePerWhile())
    return logger
