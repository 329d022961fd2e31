"""A bound on what is being worked on, so that no queue grows without one."""

from streams.errors import Overload

REQUESTS_MAX = 1024


class InFlight:
    """Counts bytes from the first one read, and requests from the whole body, to the acknowledgement.

    A slow sender holds only the bytes it has sent, never a place among the requests at work.
    """

    def __init__(self, *, bytes_max: int, requests_max: int = REQUESTS_MAX) -> None:
        self.bytes_max = bytes_max
        self.requests_max = requests_max
        self.bytes = 0
        self.requests = 0

    def share(self) -> "Share":
        """Return an empty share for one request."""
        return Share(self)


class Share:
    """What one request holds; call `leave` exactly once."""

    __slots__ = ("_all", "_held", "_working")

    def __init__(self, whole: InFlight) -> None:
        self._all = whole
        self._held = 0
        self._working = 0

    def take(self, count_bytes: int) -> None:
        """Hold `count_bytes` more; raises Overload, unless nobody else holds any (a bound is no ban)."""
        whole = self._all
        if whole.bytes + count_bytes > whole.bytes_max and whole.bytes > self._held:
            raise Overload(
                f"{whole.bytes} bytes are on their way, {whole.bytes_max} are the most; send it again later"
            )
        whole.bytes += count_bytes
        self._held += count_bytes

    def work(self) -> None:
        """Begin the work on a whole body; raises Overload when as many as allowed are at work."""
        whole = self._all
        if whole.requests >= whole.requests_max:
            raise Overload(
                f"{whole.requests} requests are at work, the most there may be; send it again later"
            )
        whole.requests += 1
        self._working = 1

    def leave(self) -> None:
        """Give everything back."""
        self._all.bytes -= self._held
        self._all.requests -= self._working
        self._held = self._working = 0
