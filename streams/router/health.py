"""What the router says of itself: a value per partition, for status, metrics and the watchdog."""

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class PartitionHealth:
    """Where one partition stands.

    Attributes:
        partition: Of the events log.
        state: `opening`, `recovering`, `routing` or `lost`.
        position: The next event to route.
        end: Offset after the last event, as last seen.
        triggers_offset: Of the definitions in force.
        moved_s: Monotonic time of the last step, or look for one.
        waiting_for: Who keeps the partition waiting, empty when nobody does.
        reason: Their last answer.

    """

    partition: int
    state: str = "opening"
    position: int = 0
    end: int = 0
    triggers_offset: int = 0
    moved_s: float = 0.0
    waiting_for: str = ""
    reason: str = ""

    @property
    def lag(self) -> int:
        """Offsets not routed yet (transaction markers included)."""
        return max(self.end - self.position, 0)

    def moved(self, position: int, now_s: float) -> None:
        """Note a step."""
        self.position = position
        self.end = max(self.end, position)
        self.moved_s = now_s

    def waits_for(self, whom: str, reason: str) -> None:
        """Note who keeps the partition waiting."""
        self.waiting_for, self.reason = whom, reason
