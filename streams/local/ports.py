"""Loopback TCP ports: is one free, and which other one to take."""

import socket
import time
from collections.abc import Callable

from streams.errors import Transport

LOOPBACK = "127.0.0.1"
_POLL_S = 0.02


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a listener could be bound now; a port in TIME_WAIT counts as free, as it does for Java."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def choose_port(*preferred: int | None, host: str = LOOPBACK) -> int:
    """Return the first preferred port that is free, else one the system gives.

    Nothing is reserved: who binds it later must be ready to find it taken and choose again.
    """
    for port in preferred:
        if port and is_free(port, host):
            return port
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def wait_listening(
    port: int, timeout_s: float, *, still_alive: Callable[[], bool], host: str = LOOPBACK
) -> None:
    """Return once something accepts connections on the port.

    Raises Transport when `still_alive` says no or the time is over.
    """
    deadline_s = time.monotonic() + timeout_s
    while still_alive():
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            if time.monotonic() >= deadline_s:
                raise Transport(f"nothing listened on {host}:{port} within {timeout_s:.0f} s") from None
            time.sleep(_POLL_S)
        else:
            return
    raise Transport(f"the process that should listen on {host}:{port} ended before it did")
