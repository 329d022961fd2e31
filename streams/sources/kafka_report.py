"""How far each Kafka source has come, for /metrics: written by the sources, read by the gateway."""

from collections.abc import Mapping
from dataclasses import dataclass, field

ERROR_CHARS_MAX = 300


@dataclass(slots=True)
class TopicReport:
    """One source.

    Attributes:
        lag: Records not yet done, by partition; an upper bound, since offsets have gaps.
        error: What keeps it from reading now; empty when nothing does.
        records: Read and done since the start.
        unusable: Of these, kept as dead letters.

    """

    lag: Mapping[int, int] = field(default_factory=dict)
    error: str = "not connected yet"
    records: int = 0
    unusable: int = 0


class TopicReports:
    """The reports of all sources of kind kafka; their names come from the settings, so they are bounded."""

    def __init__(self) -> None:
        self._reports: dict[str, TopicReport] = {}

    def begin(self, source: str) -> TopicReport:
        """Return a fresh report of a source that begins to watch."""
        self._reports[source] = report = TopicReport()
        return report

    def end(self, source: str, report: TopicReport) -> None:
        """Forget a source that ended, unless it began anew meanwhile."""
        if self._reports.get(source) is report:
            del self._reports[source]

    def text(self) -> bytes:
        """Return them in Prometheus' text form; nothing while there is none."""
        lag, reading, records, unusable, errors = [], [], [], [], []
        for name, report in sorted(self._reports.items()):
            label = f'source="{_escaped(name)}"'
            lag += [f'{label},partition="{number}"}} {count}' for number, count in sorted(report.lag.items())]
            reading.append(f"{label}}} {int(not report.error)}")
            records.append(f"{label}}} {report.records}")
            unusable.append(f"{label}}} {report.unusable}")
            if report.error:
                errors.append(f'{label},error="{_escaped(report.error[:ERROR_CHARS_MAX])}"}} 1')
        lines = []
        for what, kind, found in (
            ("lag", "gauge", lag),
            ("reading", "gauge", reading),
            ("records_total", "counter", records),
            ("unusable_total", "counter", unusable),
            ("error", "gauge", errors),
        ):
            if found:
                lines.append(f"# TYPE ensue_source_kafka_{what} {kind}\n")
            lines += [f"ensue_source_kafka_{what}{{{one}\n" for one in found]
        return "".join(lines).encode()


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
