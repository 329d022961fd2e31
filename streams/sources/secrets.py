"""The secrets of a source as they are now: from the settings, and from a file that may change meanwhile."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from streams.errors import BadInput
from streams.source_settings import HttpSourceSettings
from streams.sources.secret_file import Secret, parse, valid
from streams.sources.trust import Trust

_log = logging.getLogger(__name__)


class CurrentTrust:
    """Call it for each delivery: a changed secrets file counts from then on.

    A file that cannot be read keeps what was read last: a half-written rotation locks nobody out. A secret
    that was rotated out ends by the clock, whoever reads the file or not.
    """

    def __init__(
        self, name: str, settings: HttpSourceSettings, *, now_s: Callable[[], float] = time.time
    ) -> None:
        """Read the files once; raises BadInput when one is missing. `now_s` is the Unix time."""
        self._now_s = now_s
        self._name = name
        self._file = settings.secrets_file
        token = [] if settings.token is None else [settings.token]
        self._fixed = tuple(secret.get_secret_value().encode() for secret in (*settings.secrets, *token))
        query_token = None
        if settings.query_token_file is not None:
            query_token = _read(name, settings.query_token_file).decode().strip()
        self._stamp: tuple[int, int, int] | None = None
        self._listed: tuple[Secret, ...] = ()
        self._until_s = float("inf")
        self._trust = Trust(
            secrets=self._fixed,
            tolerance_s=settings.tolerance_s,
            topic_arns=frozenset(settings.topic_arns),
            audience=settings.audience,
            email=settings.email,
            issuers=tuple(settings.issuers),
            query_token=query_token,
            allowed_origins=tuple(settings.allowed_origins),
            hmac=settings.hmac,
        )
        if self._file is not None:
            _read(name, self._file)
        self()

    def __call__(self) -> Trust:
        """Return what is trusted now."""
        if self._file is None:
            return self._trust
        try:
            found = self._file.stat()
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp != self._stamp:
                self._listed = parse(self._file.read_bytes())
                self._stamp = stamp
                self._until_s = 0.0
        except OSError as error:
            _log.warning("source %s: %s; the secrets read last stay valid", self._name, error)
        now_s = self._now_s()
        if now_s >= self._until_s:
            kept = valid(self._listed, now_s)
            self._trust = replace(self._trust, secrets=(*(one.value for one in kept), *self._fixed))
            self._until_s = min((s.until_s for s in kept if s.until_s is not None), default=float("inf"))
        return self._trust


def _read(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"source {name}: {path} cannot be read: {error.strerror}") from None
