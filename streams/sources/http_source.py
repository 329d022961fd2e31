"""A source behind /hooks/NAME: a scheme that says who sent it, a form that says what it means."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from streams.errors import Poison
from streams.inbound import Delivery, Doubled, Keys, Outcome, Reply, Unauthenticated
from streams.sources.trust import Trust


class Scheme(Protocol):
    """How a sender proves itself; holds no secret, so one instance serves all sources of a kind."""

    def verify(self, delivery: Delivery, trust: Trust, keys: Keys) -> None:
        """Return when the delivery is authentic; raises Unauthenticated or KeyMissing, nothing else."""
        ...


class Form(Protocol):
    """How a sender words what happened."""

    def read(self, delivery: Delivery, source: str) -> Outcome:
        """Return what an authentic delivery says; raises Poison when it is of no form known to the source."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSource:
    """Implements `streams.inbound.HookSource`.

    Attributes:
        name: The source's name; becomes the events' `source`.
        scheme: None where no proof is asked for.
        trust: What is believed at the moment of a delivery.
        handshake: Answers what comes before anybody can prove anything; None leaves it to scheme and form.

    """

    name: str
    form: Form
    scheme: Scheme | None = None
    trust: Callable[[], Trust] = Trust
    handshake: Callable[[Delivery, Trust], Reply | None] | None = None

    @property
    def credential(self) -> bool:
        """Whether senders must prove who they are."""
        return self.scheme is not None

    def receive(self, delivery: Delivery, keys: Keys) -> Outcome:
        """Judge first, read afterwards: nothing is parsed for a sender who is not known."""
        if self.handshake is not None:
            reply = self.handshake(delivery, self.trust())
            if reply is not None:
                return reply
        try:
            if self.scheme is not None:
                self.scheme.verify(delivery, self.trust(), keys)
            return self.form.read(delivery, self.name)
        except Doubled as doubled:
            if self.scheme is None:
                raise _ambiguous(doubled) from None
            raise Unauthenticated(f"header {doubled} stands twice") from None

    def read_again(self, delivery: Delivery) -> Outcome:
        """Read what was judged when it came: a dead letter, with its headers that hold no credential."""
        try:
            return self.form.read(delivery, self.name)
        except Doubled as doubled:
            raise _ambiguous(doubled) from None


def _ambiguous(doubled: Doubled) -> Poison:
    return Poison(f"header {doubled} stands twice", reason="unusable_record")
