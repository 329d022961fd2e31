"""The secrets of a source as they are now: from the settings, and from a file that may change meanwhile."""

import logging
from dataclasses import replace
from pathlib import Path

from streams.errors import BadInput
from streams.source_settings import HttpSourceSettings
from streams.sources.trust import Trust

_log = logging.getLogger(__name__)


class CurrentTrust:
    """Call it for each delivery: a changed secrets file counts from then on.

    A file that cannot be read keeps what was read last: a half-written rotation locks nobody out.
    """

    def __init__(self, name: str, settings: HttpSourceSettings) -> None:
        """Read the files once; raises BadInput when one is missing."""
        self._name = name
        self._file = settings.secrets_file
        token = [] if settings.token is None else [settings.token]
        self._fixed = tuple(secret.get_secret_value().encode() for secret in (*settings.secrets, *token))
        query_token = None
        if settings.query_token_file is not None:
            query_token = _read(name, settings.query_token_file).decode().strip()
        self._stamp: tuple[int, int] | None = None
        self._trust = Trust(
            secrets=self._fixed,
            tolerance_s=settings.tolerance_s,
            topic_arns=frozenset(settings.topic_arns),
            audience=settings.audience,
            email=settings.email,
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
            stamp = (found.st_mtime_ns, found.st_size)
            if stamp != self._stamp:
                lines = self._file.read_bytes().split(b"\n")
                kept = tuple(line.strip() for line in lines if line.strip())
                self._trust = replace(self._trust, secrets=(*kept, *self._fixed))
                self._stamp = stamp
        except OSError as error:
            _log.warning("source %s: %s; the secrets read last stay valid", self._name, error)
        return self._trust


def _read(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"source {name}: {path} cannot be read: {error.strerror}") from None
