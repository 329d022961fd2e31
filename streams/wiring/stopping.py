"""SIGTERM and Ctrl-C as an event that a part waits for."""

import signal
import threading


def stop_event() -> threading.Event:
    """Return an event that SIGTERM or Ctrl-C sets. Call from the main thread."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    return stopped
