"""Loopback is not a password: which Host may be asked for, and which pages may ask (DESIGN 5.17)."""

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from streams.gateway.problem import Problem

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_ANY = frozenset({"", "0.0.0.0", "::"})
_KNOWN_MAX = 256


class OriginCheck:
    """Refuses names that are not ours (DNS rebinding) and requests that a foreign page made."""

    def __init__(self, allowed_hosts: Iterable[str], bound_host: str = "") -> None:
        names = {*_LOOPBACK, *(name.lower() for name in allowed_hosts)}
        if bound_host not in _ANY:
            names.add(f"[{bound_host}]" if ":" in bound_host else bound_host.lower())
        self._names = frozenset(names)
        self._known: set[bytes] = set()  # Host headers found good, since the same few come all the time

    def check(self, headers: Mapping[bytes, bytes]) -> None:
        """Raise Problem 421 for a foreign Host, 403 for a foreign Origin."""
        host = headers.get(b"host", b"")
        if host not in self._known:
            self._check_host(host)
        origin = headers.get(b"origin")
        if origin is not None and not _same(origin, host):
            raise Problem(403, "foreign-origin", "A page of another origin may not do this.", close=True)

    def _check_host(self, host: bytes) -> None:
        text = host.decode("latin-1").lower()
        name, colon, port = text.rpartition(":")
        if not colon or not port.isdigit():
            name = text
        if name.removesuffix(".") not in self._names:
            raise Problem(
                421,
                "foreign-host",
                f"Host {text[:100]!r} is not one of ours; add it to allowed_hosts if it is.",
                close=True,
            )
        if len(self._known) < _KNOWN_MAX:
            self._known.add(host)


def _same(origin: bytes, host: bytes) -> bool:
    try:
        parts = urlsplit(origin.decode("latin-1"))
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and parts.netloc.lower() == host.decode("latin-1").lower()
