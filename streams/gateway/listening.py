"""When this gateway could hear: what it could not hear, nobody can be blamed for not having said."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

GAP_MIN_S = 10.0
_GAPS_MAX = 500
_KEPT_S = 400 * 86_400.0


@dataclass(slots=True)
class Listening:
    """Times without a listening gateway, from notes that it makes while it listens; Unix seconds.

    Attributes:
        alive_s: When it listened last; 0 before it ever did.
        gaps: From when until when it did not (a restart, a broker that was away, a machine asleep).
        since_s: Since when each source is waited for.

    """

    alive_s: float = 0.0
    gaps: list[tuple[float, float]] = field(default_factory=list)
    since_s: dict[str, float] = field(default_factory=dict)

    def note(self, now_s: float) -> None:
        """Note that events could come in at this moment."""
        if now_s - self.alive_s > GAP_MIN_S:  # before the first note nobody listened
            self.gaps.append((self.alive_s, now_s))
            self.gaps = [gap for gap in self.gaps if gap[1] > now_s - _KEPT_S][-_GAPS_MAX:]
        self.alive_s = max(self.alive_s, now_s)

    def heard_s(self, since_s: float, until_s: float) -> float:
        """Return how many of these seconds somebody listened."""
        missed = sum(
            max(0.0, min(end, until_s) - max(start, since_s))
            for start, end in self.gaps
            if end > since_s and start < until_s
        )
        return max(0.0, until_s - since_s - missed)

    def waiting_for(self, sources: Mapping[str, object], now_s: float) -> None:
        """Begin to wait for sources that are new; forget those that are gone."""
        self.since_s = {name: self.since_s.get(name, now_s) for name in sources}

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON value."""
        return {"alive_s": self.alive_s, "gaps": [list(gap) for gap in self.gaps], "since_s": self.since_s}

    @classmethod
    def of_json(cls, value: Any) -> Self:
        """Return what was kept; nothing when it cannot be read."""
        try:
            gaps = [(float(start), float(end)) for start, end in value["gaps"]]
            since = {str(name): float(at) for name, at in value["since_s"].items()}
            return cls(alive_s=float(value["alive_s"]), gaps=gaps, since_s=since)
        except (KeyError, TypeError, ValueError, AttributeError):
            return cls()
