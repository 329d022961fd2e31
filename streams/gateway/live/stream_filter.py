"""What a reader of /events/stream asks for: globs in the query, all of which must hold."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from flows.core.predicate import Pattern
from schemas.event import ID_LABEL, PREFECT_ID_LABEL
from streams.gateway.live.event import LiveEvent
from streams.gateway.problem import Problem

PATTERN_CHARS_MAX = 1_024
_FIELDS_MAX = 32
_NAMES = ("event", "resource", "source", "related")
AFTER = "after"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFilter:
    """Globs as triggers have them (`*`, `?`, `[…]`, a leading `!` negates); several of a name: any of them.

    Attributes:
        event: Over the event's name.
        resource: Over the id of its resource.
        source: Over the way it came in; `""` is a plain POST.
        related: Over the ids of its related resources, of which one must match.

    """

    event: tuple[Pattern, ...] = ()
    resource: tuple[Pattern, ...] = ()
    source: tuple[Pattern, ...] = ()
    related: tuple[Pattern, ...] = ()

    def wants(self, event: LiveEvent) -> bool:
        """Tell whether the event passes."""
        record = event.record
        return (
            _any(self.event, (record.event,))
            and _any(self.resource, (record.resource_id,))
            and _any(self.source, (record.source,))
            and (
                not self.related
                or _any(
                    self.related,
                    (one.get(ID_LABEL) or one.get(PREFECT_ID_LABEL, "") for one in event.related),
                )
            )
        )


def _any(patterns: tuple[Pattern, ...], values: Iterable[str]) -> bool:
    return not patterns or any(pattern.accepts(value) for value in values for pattern in patterns)


def read_query(query: str) -> tuple[StreamFilter, str]:
    """Return the filter and the position asked for (empty: from now on); raises Problem 400."""
    try:
        fields = parse_qsl(query, keep_blank_values=True, max_num_fields=_FIELDS_MAX, errors="strict")
    except ValueError:
        text = f"The query cannot be read; it has at most {_FIELDS_MAX} fields, in UTF-8."
        raise Problem(400, "query", text) from None
    globs: Mapping[str, list[Pattern]] = {name: [] for name in _NAMES}
    after = ""
    for name, value in fields:
        if name == AFTER:
            after = value
        elif name not in globs:
            known = ", ".join((*_NAMES, AFTER))
            raise Problem(400, "query", f"There is no field {name[:60]!r}; use {known}.")
        elif len(value) > PATTERN_CHARS_MAX:
            raise Problem(400, "query", f"{name} is longer than {PATTERN_CHARS_MAX} characters.")
        else:
            globs[name].append(Pattern(value))
    return StreamFilter(**{name: tuple(found) for name, found in globs.items()}), after
