"""How often and after which pauses something is tried again. Without jitter: the same in every replay."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from flows.errors import InvalidDefinition

DELAY_S_MAX = 3600.0
RETRIES_MAX = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """`retries` further attempts; the first pause lasts `delay_s`, each next one `backoff` times as long."""

    retries: int = 0
    delay_s: float = 0.0
    backoff: float = 2.0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        faults = []
        if isinstance(self.retries, bool) or not 0 <= self.retries <= RETRIES_MAX:
            faults.append(("retries", f"must be between 0 and {RETRIES_MAX}"))
        if not 0 <= self.delay_s <= DELAY_S_MAX:
            faults.append(("retry_delay_s", f"must be between 0 and {DELAY_S_MAX:.0f} seconds"))
        if not 1 <= self.backoff <= 100:
            faults.append(("retry_backoff", "must be between 1 and 100"))
        if faults:
            raise InvalidDefinition("retries", faults)

    def pause_s(self, attempt: int) -> float | None:
        """Return the pause after attempt number `attempt` (from 1) failed; None when it was the last."""
        if attempt > self.retries:
            return None
        pause_s = self.delay_s
        for _ in range(attempt - 1):
            pause_s = min(pause_s * self.backoff, DELAY_S_MAX)
        return pause_s

    def as_json(self) -> dict[str, Any]:
        """Return the members of a flow definition."""
        return {"retries": self.retries, "retry_delay_s": self.delay_s, "retry_backoff": self.backoff}

    @classmethod
    def from_json(cls, definition: Mapping[str, Any]) -> Self:
        """Return the retries of a flow definition."""
        return cls(
            retries=definition.get("retries", 0),
            delay_s=definition.get("retry_delay_s", 0.0),
            backoff=definition.get("retry_backoff", 2.0),
        )
