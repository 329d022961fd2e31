"""Parameter templates: Jinja expressions from an allow-list, with JSON in and JSON out.

No loops, macros, calls, powers or repetition, so that rendering takes time and space in proportion to
the template and the event. `{{ event.payload.n }}` alone keeps its JSON type; within text it becomes text.
Names after a dot are always data (`event.payload.items` is the member "items"), never methods.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flows.core import predicate
from flows.errors import TemplateError
from schemas.event import Event

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATE_CHARS_MAX = 4096
OUTPUT_BYTES_MAX = 1 << 20
NESTING_MAX = 16
JOINS_MAX = 32  # `~` and `+` of one template
EVENT_NAMES = frozenset(("event", "events", "firing", "labels"))  # of `scope`


@dataclass(frozen=True, slots=True)
class LabelView:
    """Labels as templates see them: by name only, the id under both of its names."""

    labels: Mapping[str, str]

    def get(self, name: object) -> Any:
        """Return a label's value; raises KeyError."""
        value = predicate.lookup(self.labels, name) if isinstance(name, str) else None
        if value is None:
            raise KeyError(name)
        return value


@dataclass(frozen=True, slots=True)
class EventView:
    """An event as templates see it."""

    members: Mapping[str, Any]

    def get(self, name: object) -> Any:
        """Return a member; raises KeyError."""
        return self.members[name]  # type: ignore[index]


def event_view(event: Event) -> EventView:
    """Return what a template may see of an event."""
    return EventView(
        {
            "id": event.id,
            "event": event.event,
            "resource_id": event.resource_id,
            "resource": LabelView(event.resource),
            "related": [LabelView(labels) for labels in event.related],
            "occurred": event.occurred.isoformat().replace("+00:00", "Z"),
            "payload": event.payload,
            "source": event.source,
            "correlation_id": event.correlation_id,
            "causation_id": event.causation_id,
            "follows": event.follows,
            "depth": event.depth,
        }
    )


def scope(
    *, events: Sequence[Event], firing: Mapping[str, Any], labels: Mapping[str, str]
) -> Mapping[str, Any]:
    """Return the names a template sees: `event` (the last), `events`, `firing`, `labels` (of for_each)."""
    views = [event_view(event) for event in events]
    return {"event": views[-1], "events": views, "firing": dict(firing), "labels": LabelView(labels)}


def check(value: Any, *, known: frozenset[str] = EVENT_NAMES) -> None:
    """Refuse templates that are not allowed anywhere in a JSON value, or use a name that is not `known`.

    Raises TemplateError.
    """
    for text in _texts(value, 0):
        if _is_template(text):
            _compiled(text, known)


def render(value: Any, names: Mapping[str, Any], *, known: frozenset[str] = EVENT_NAMES) -> Any:
    """Return a JSON value with its templates rendered.

    Args:
        value: Texts, objects and arrays; texts may be templates.
        names: What templates see.
        known: The names that they may use at all.

    Raises:
        TemplateError: A label or member is missing, the result is not JSON or larger than OUTPUT_BYTES_MAX.

    """
    rendered = _render(value, names, 0, known)
    try:
        size_bytes = len(json.dumps(rendered, allow_nan=False))
    except (ValueError, TypeError, RecursionError) as error:
        raise TemplateError(f"the rendered parameters are not JSON: {error}") from None
    if size_bytes > OUTPUT_BYTES_MAX:
        raise TemplateError(
            f"the rendered parameters take {size_bytes} bytes, more than {OUTPUT_BYTES_MAX}; "
            "pass the event itself with an argument typed Event"
        )
    return rendered


def _texts(value: Any, nesting: int) -> list[str]:
    if nesting > NESTING_MAX:
        raise TemplateError(f"parameters are nested deeper than {NESTING_MAX}")
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for one in value.values() for text in _texts(one, nesting + 1)]
    if isinstance(value, list | tuple):
        return [text for one in value for text in _texts(one, nesting + 1)]
    return []


def _is_template(text: str) -> bool:
    return "{{" in text or "{%" in text or "{#" in text


def _render(value: Any, names: Mapping[str, Any], nesting: int, known: frozenset[str]) -> Any:
    if nesting > NESTING_MAX:
        raise TemplateError(f"parameters are nested deeper than {NESTING_MAX}")
    if isinstance(value, str):
        return _render_text(value, names, known) if _is_template(value) else value
    if isinstance(value, Mapping):
        return {key: _render(one, names, nesting + 1, known) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_render(one, names, nesting + 1, known) for one in value]
    return value


def _render_text(text: str, names: Mapping[str, Any], known: frozenset[str]) -> Any:
    from flows import template_language

    template = _compiled(text, known)
    try:
        parts = template_language.parts(template, names)
    except Exception as error:
        raise TemplateError(f"{text!r} cannot be rendered: {error}") from None
    values = [_plain(part) for part in parts]
    if len(values) == 1:
        return values[0]
    return "".join(one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in values)


def _plain(value: Any) -> Any:
    """Turn views inside a result into JSON."""
    if isinstance(value, LabelView):
        return dict(value.labels)
    if isinstance(value, EventView):
        return {name: _plain(one) for name, one in value.members.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return value


@lru_cache(maxsize=1024)
def _compiled(text: str, known: frozenset[str]) -> "Template":
    from flows import template_language

    if len(text) > TEMPLATE_CHARS_MAX:
        raise TemplateError(f"a template of {len(text)} characters is longer than {TEMPLATE_CHARS_MAX}")
    return template_language.compiled(text, joins_max=JOINS_MAX, known=known)
