"""What each source at the door has seen since the start."""

from dataclasses import dataclass


@dataclass(slots=True)
class SourceCount:
    """One source's counters; `last_s` is the Unix time of the last authentic delivery, 0 before any."""

    deliveries: int = 0
    events: int = 0
    unusable: int = 0
    unauthenticated: int = 0
    last_s: float = 0.0

    def authenticated(self, at_s: float) -> None:
        """Count an authentic delivery."""
        self.deliveries += 1
        self.last_s = max(self.last_s, at_s)


class SourceCounters:
    """Counters by source; names come from the settings, so their number is bounded."""

    def __init__(self) -> None:
        self._counts: dict[str, SourceCount] = {}

    def of(self, source: str) -> SourceCount:
        """Return the counters of a source, made at its first use."""
        return self._counts.setdefault(source, SourceCount())

    def all(self) -> dict[str, SourceCount]:
        """Return every source that was seen."""
        return dict(self._counts)

    def text(self) -> bytes:
        """Return them in Prometheus' text form; a source's name is a key of ensue.toml."""
        lines = []
        for name, count in sorted(self._counts.items()):
            label = escaped(name)
            for what, value in (
                ("deliveries_total", count.deliveries),
                ("events_total", count.events),
                ("unusable_total", count.unusable),
                ("unauthenticated_total", count.unauthenticated),
                ("last_delivery_timestamp_seconds", count.last_s),
            ):
                lines.append(f'ensue_source_{what}{{source="{label}"}} {value}')
        return "".join(f"{line}\n" for line in lines).encode()


def escaped(label: str) -> str:
    """Return a label's value as Prometheus' text form has it."""
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
