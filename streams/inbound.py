"""What passes between the door and a source: a delivery as it came, and what the source makes of it.

A source is pure: it reads no clock, opens no connection. What it needs from outside it names (`KeyMissing`,
`Call`) and the door fetches it, from allowed hosts only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from schemas.event import Event


class Unauthenticated(Exception):
    """The sender did not prove who it is: 401 without a detail, counted, never stored.

    The text is for our log and says nothing secret.
    """


class KeyMissing(Exception):
    """A key must be fetched before the delivery can be judged; the door fetches it and asks again.

    Attributes:
        url: An https address on a host that the source allows.

    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


class Doubled(ValueError):
    """A header that may stand once stands twice: which one counts is not guessed."""


class Headers:
    """Header fields in their order, names in any case; values are Latin-1 texts as HTTP has them."""

    def __init__(self, pairs: Sequence[tuple[bytes, bytes]] = ()) -> None:
        self._pairs = [(name.lower().decode("latin-1"), value.decode("latin-1")) for name, value in pairs]
        self._named: dict[str, list[str]] = {}
        for name, value in self._pairs:
            self._named.setdefault(name, []).append(value)

    @classmethod
    def of(cls, fields: Mapping[str, str | Sequence[str]]) -> "Headers":
        """Return headers of texts; a list gives the field several times. Raises UnicodeEncodeError."""
        pairs = []
        for name, value in fields.items():
            values = [value] if isinstance(value, str) else value
            pairs += [(name.encode("latin-1"), text.encode("latin-1")) for text in values]
        return cls(pairs)

    def all(self, name: str) -> list[str]:
        """Return every value of a field in order."""
        return list(self._named.get(name.lower(), ()))

    def one(self, name: str) -> str | None:
        """Return the value of a field, None when missing; raises Doubled when it stands more than once."""
        found = self._named.get(name.lower())
        if found is None:
            return None
        if len(found) > 1:
            raise Doubled(name)
        return found[0]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Every field, names in lower case."""
        return iter(self._pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What a sender put on the wire, before anything of it is believed.

    Attributes:
        body: The raw bytes (unpacked when Content-Encoding said so).
        at_s: The receiver's clock, Unix seconds.
        query: As sent, without `?`, not decoded.

    """

    method: str = "POST"
    path: str = ""
    query: str = ""
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    at_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Events of an authentic delivery, per resource in order; one sentence for each part that is unusable."""

    events: Sequence[Event] = ()
    unusable: Sequence[str] = ()
    status: int = 202


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to a handshake; no event comes of it."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A confirmation that the sender asks for: one GET on an allowed host, then `reply`."""

    url: str
    reply: Reply


Outcome = Taken | Reply | Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """One event of a body that cannot be used: which of its fields, and why, fit for the sender."""

    field: str
    reason: str


class BodyForm(Protocol):
    """A form of events that POST /events takes beside our own."""

    def claims(self, content_type: str, headers: Mapping[bytes, bytes]) -> bool:
        """Return whether a message has this form, by its Content-Type and headers (names in lower case)."""
        ...

    def read(self, delivery: Delivery, *, depth_max: int) -> tuple[int, Iterator[Event | Refused]]:
        """Return how many events a body has, and each in order, made as it is asked for.

        Raises Poison when the body as a whole cannot be read, also while events are asked for.
        """
        ...

    def handshake(self, delivery: Delivery) -> Reply:
        """Answer OPTIONS /events."""
        ...


class Keys(Protocol):
    """Certificates and key sets that were fetched before."""

    def get(self, url: str) -> bytes | None:
        """Return what lies at `url`, None when it was not fetched (then raise KeyMissing)."""
        ...


class HookSource(Protocol):
    """A configured source behind /hooks/NAME."""

    @property
    def credential(self) -> bool:
        """Whether senders must prove who they are; else the content type must be application/json."""
        ...

    def receive(self, delivery: Delivery, keys: Keys) -> Outcome:
        """Judge and read a delivery.

        Raises Unauthenticated, KeyMissing, and Poison for an authentic delivery that is unusable as a whole.
        """
        ...

    def read_again(self, delivery: Delivery) -> Outcome:
        """Read a delivery that was authentic once, without judging it again; raises Poison."""
        ...
