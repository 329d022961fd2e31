"""Counters in Prometheus' text form."""

from collections import Counter
from dataclasses import dataclass, field

from streams.gateway.in_flight import InFlight


@dataclass(slots=True)
class Metrics:
    """What happened since the start; written by one event loop only."""

    requests: Counter[tuple[str, int]] = field(default_factory=Counter)  # route, status
    accepted_rows: int = 0
    refused_rows: int = 0
    unacknowledged_rows: int = 0
    dead_letters: int = 0

    def text(self, in_flight: InFlight, *, ready: bool) -> bytes:
        """Return the exposition; label values are our own route names and numbers: no escapes needed."""
        lines = ["# TYPE ensue_gateway_requests_total counter"]
        lines += [
            f'ensue_gateway_requests_total{{route="{route}",status="{status}"}} {count}'
            for (route, status), count in sorted(self.requests.items())
        ]
        for name, kind, value in (
            ("events_accepted_total", "counter", self.accepted_rows),
            ("events_refused_overload_total", "counter", self.refused_rows),
            ("events_unacknowledged_total", "counter", self.unacknowledged_rows),
            ("dead_letters_total", "counter", self.dead_letters),
            ("in_flight_bytes", "gauge", in_flight.bytes),
            ("in_flight_requests", "gauge", in_flight.requests),
            ("ready", "gauge", int(ready)),
        ):
            lines += [f"# TYPE ensue_gateway_{name} {kind}", f"ensue_gateway_{name} {value}"]
        return ("\n".join(lines) + "\n").encode()
