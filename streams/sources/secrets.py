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
        self._file = _Watched(name, settings.secrets_file)
        self._address = _Watched(name, settings.query_token_file)
        token = [] if settings.token is None else [settings.token]
        self._fixed = tuple(secret.get_secret_value().encode() for secret in (*settings.secrets, *token))
        self._listed: tuple[Secret, ...] = ()
        self._until_s = float("inf")
        self._trust = Trust(
            secrets=self._fixed,
            tolerance_s=settings.tolerance_s,
            topic_arns=frozenset(settings.topic_arns),
            audience=settings.audience,
            email=settings.email,
            issuers=tuple(settings.issuers),
            allowed_origins=tuple(settings.allowed_origins),
            hmac=settings.hmac,
        )
        if settings.query_token_file is not None and self().query_token is None:
            raise BadInput(f"source {name}: {settings.query_token_file} is empty; write a token into it")
        self()

    def __call__(self) -> Trust:
        """Return what is trusted now."""
        listed = self._file.changed()
        if listed is not None:
            self._listed = parse(listed)
            self._until_s = 0.0
        address = self._address.changed()
        if address is not None:
            token = next((one.value.decode("utf-8", "replace") for one in parse(address)), None)
            if token is None:
                # Nothing to compare with must never mean that everybody may come in.
                _log.warning(
                    "source %s: its token file is empty; the token read last stays valid", self._name
                )
            else:
                self._trust = replace(self._trust, query_token=token)
        now_s = self._now_s()
        if now_s >= self._until_s:
            kept = valid(self._listed, now_s)
            self._trust = replace(self._trust, secrets=(*(one.value for one in kept), *self._fixed))
            self._until_s = min((s.until_s for s in kept if s.until_s is not None), default=float("inf"))
        return self._trust


class _Watched:
    """A file that is read when it is another than before; none at all never changes."""

    def __init__(self, name: str, path: Path | None) -> None:
        """Raises BadInput when the file is missing."""
        self._name, self._path = name, path
        self._stamp: tuple[int, int, int] | None = None
        if path is None:
            return
        try:
            path.read_bytes()
        except OSError as error:
            raise BadInput(f"source {name}: {path} cannot be read: {error.strerror}") from None

    def changed(self) -> bytes | None:
        """Return its bytes when they are new."""
        if self._path is None:
            return None
        try:
            found = self._path.stat()
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp == self._stamp:
                return None
            raw = self._path.read_bytes()
        except OSError as error:
            _log.warning("source %s: %s; what was read last stays valid", self._name, error)
            return None
        self._stamp = stamp
        return raw
