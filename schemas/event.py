"""The event as a person sees it: something happened to a resource."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic

if TYPE_CHECKING:  # with a default, so that a bare `Event` is one with an open payload
    from typing_extensions import TypeVar

    P_co = TypeVar("P_co", default=Mapping[str, Any], covariant=True)
else:
    from types import GenericAlias
    from typing import TypeVar

    P_co = TypeVar("P_co", covariant=True)

ID_LABEL = "resource.id"
PREFECT_ID_LABEL = "prefect.resource.id"
ROLE_LABEL = "resource.role"
PREFECT_ROLE_LABEL = "prefect.resource.role"
DEPTH_MAX = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Generic[P_co]):
    """Something happened.

    `Event[OrderPaid]`, with a pydantic model, is an event whose payload is an instance of it.

    Attributes:
        id: Identity: from the source, else a UUIDv7 drawn once by the client.
        event: Its name, for example `storage.object.created`.
        resource_id: What it happened to, for example `s3://bucket/key`; order holds per resource.
        resource: All labels of the resource, the id label included.
        occurred: When it happened, by the source; in UTC.
        received: When the gateway took it in; None before that.
        related: Other resources, each with a role.
        payload: Open JSON object; an instance of the model of a typed event.
        source: The configured way in; empty for a plain POST.
        causation_id: The event or run that led here.
        correlation_id: Id of the chain's first event; its own id when it starts a chain.
        follows: The event that this one follows.
        replay_of: What this is a deliberate repetition of.
        depth: Links of the causal chain before it.

    """

    id: str
    event: str
    resource_id: str
    occurred: datetime
    received: datetime | None = None
    resource: Mapping[str, str] = field(default_factory=dict)
    related: Sequence[Mapping[str, str]] = ()
    payload: P_co = field(default_factory=dict)  # type: ignore[assignment]
    source: str = ""
    causation_id: str | None = None
    correlation_id: str = ""
    follows: str | None = None
    replay_of: str | None = None
    depth: int = 0

    if not TYPE_CHECKING:
        # typing's own would set an attribute on each instance, which a frozen class with slots refuses.
        __class_getitem__ = classmethod(GenericAlias)

    def __post_init__(self) -> None:
        """Hold what must be true of every event, wherever it was made."""
        if self.occurred.tzinfo is None:
            message = (
                f"event {self.id}: occurred has no time zone; give it one, for example datetime.now(UTC)"
            )
            raise ValueError(message)
        if not self.correlation_id:
            object.__setattr__(self, "correlation_id", self.id)


def micros(at: datetime) -> int:
    """Return µs since the epoch, exactly (no float between)."""
    delta = at - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def from_micros(us: int) -> datetime:
    """Return the UTC time of `us` µs since the epoch."""
    return datetime.fromtimestamp(us // 1_000_000, UTC).replace(microsecond=us % 1_000_000)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
