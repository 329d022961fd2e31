"""A record of a `cdc.*` topic as events: what `ensue translate` does with each, without I/O of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.dead_letter import Reason
from streams.errors import Poison
from streams.inbound import Taken
from streams.kafka.log_record import LogRecord
from streams.sources.cdc.change import Origin, change_of
from streams.sources.cdc.row_event import row_event
from streams.sources.cdc.unchanged import Placeholder
from streams.sources.fields import Unusable
from streams.sources.kafka_value import Values

# Stamped on every record by the connectors that we configure: system/timeline/scope.
ORIGIN_HEADER = "ensue.origin"
PLACEHOLDER = "__ensue_unavailable_value"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeReading:
    """How records are read. Pure, but for the registry that `values` asks.

    Attributes:
        source: The source's name.
        values: Reads keys and values.

    """

    source: str
    values: Values

    def taken(self, record: LogRecord) -> Taken:
        """Return the event of a record, none for what is no change of a row.

        Raises Poison for a record that is unusable, OSError while the registry does not answer.
        """
        if record.value is None:
            return Taken()  # a tombstone follows each deletion, for the cleaner of logs
        value = self.values.read(record.value).json
        if _is_beside(value):
            return Taken()
        key = None if record.key is None else self.values.read(record.key).json
        origin = origin_of(record.headers)
        try:
            change = change_of(value, key, adjusted=origin is not None)
            event = row_event(change, origin or Origin(), Placeholder(PLACEHOLDER), self.source)
        except Unusable as error:
            raise Poison(str(error), reason=Reason.UNUSABLE_RECORD) from None
        return Taken(events=[event])


def origin_of(headers: Sequence[tuple[str, bytes]]) -> Origin | None:
    """Return what our connector stamped; None for a record of another's."""
    for name, raw in headers:
        if name == ORIGIN_HEADER and raw is not None:
            text = raw.decode("utf-8", "replace").strip('"')  # as JSON's header converter writes it
            system, _, rest = text.partition("/")
            timeline, _, scope = rest.partition("/")
            return Origin(system=system, timeline=timeline, scope=scope)
    return None


def _is_beside(value: Any) -> bool:
    """Return whether a record is a heartbeat, or says where a transaction begins or ends."""
    if isinstance(value, Mapping) and value.keys() == {"schema", "payload"}:
        value = value["payload"]
    if not isinstance(value, Mapping):
        return False
    return value.keys() == {"ts_ms"} or {"status", "event_count"} <= value.keys()
