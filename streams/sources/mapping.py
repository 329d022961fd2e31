"""Templates of a source: what its events are called, what they are about, or the whole event.

They are the parameter templates of flows (Jinja expressions from an allow-list) over `method`, `headers`,
`query`, `body` and `event`, the event as the kind itself would word it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable
from urllib.parse import parse_qsl

from flows.errors import TemplateError
from flows.template import check, event_view, render
from schemas.event import ID_LABEL, Event
from streams.errors import BadInput, Poison
from streams.inbound import Delivery, Outcome, Taken
from streams.sources.http_source import Form
from streams.sources.made_event import checked_name, checked_place, label
from streams.sources.mapping_document import event_of_mapping, mapping_document
from streams.sources.webhooks.body import parsed

FROM_CLOUD_EVENT = "from_cloud_event"
NAMES = frozenset(("method", "headers", "query", "body", "event"))
# A header or field whose name has one of these may be a credential: templates never see it.
_SECRET_NAMES = re.compile(
    r"authoriz|authentic|cookie|signature|hmac|token|secret|passw|credential|api-?_?key|^(code|sig|key)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """What a person wrote about a source's events; None leaves it to the kind.

    Attributes:
        event: Template of the name.
        resource: Template of the resource id.
        mapping: Template of the whole event as JSON, or `from_cloud_event`.

    """

    event: str | None = None
    resource: str | None = None
    mapping: str | None = None


@runtime_checkable
class _Content(Protocol):
    """A form that has its own idea of what the body is."""

    def content(self, delivery: Delivery) -> Any: ...


class TextTemplate:
    """A template whose result is a text; of use to every source that names things."""

    def __init__(self, text: str, *, place: str, known: frozenset[str] = NAMES) -> None:
        """Compile it; raises BadInput that says where it stands."""
        self._text = text
        self._place = place
        self._known = known
        try:
            check(text, known=known)
        except TemplateError as error:
            raise BadInput(f"{place}: {error}") from None

    def of(self, names: Mapping[str, Any]) -> str:
        """Return the text; raises Poison (unusable_record) when it cannot be rendered or is empty."""
        found = label(_rendered(self._text, names, self._known, self._place))
        if not found:
            raise Poison(f"{self._place} gives no text for this delivery", reason="unusable_record")
        return found


def worded(form: Form, wording: Wording, *, cloud_events: Callable[[], Form] | None) -> Form:
    """Return the form of a source as its owner words it; raises BadInput for templates that cannot be.

    Args:
        form: The kind's own.
        wording: What is to be different.
        cloud_events: Makes the form that `from_cloud_event` stands for.

    """
    mapping = wording.mapping
    if mapping is not None and mapping.strip() == FROM_CLOUD_EVENT:
        if cloud_events is None:
            raise BadInput("mapping = from_cloud_event: CloudEvents cannot be read here")
        form, mapping = cloud_events(), None
    if wording.event is None and wording.resource is None and mapping is None:
        return form
    return _Worded(form, replace(wording, mapping=mapping))


class _Worded:
    """A form whose events are named by templates."""

    def __init__(self, form: Form, wording: Wording) -> None:
        self._form = form
        self._name = None if wording.event is None else TextTemplate(wording.event, place="event")
        self._place = None if wording.resource is None else TextTemplate(wording.resource, place="resource")
        self._whole = None if wording.mapping is None else mapping_document(wording.mapping, known=NAMES)

    def read(self, delivery: Delivery, source: str) -> Outcome:
        """Return what the kind makes of it, reworded; identity stays the sender's."""
        outcome = self._form.read(delivery, source)
        if not isinstance(outcome, Taken) or not outcome.events:
            return outcome
        body = self._form.content(delivery) if isinstance(self._form, _Content) else parsed(delivery)
        names = _names(delivery, body)
        events = [self._reworded(event, {**names, "event": event_view(event)}) for event in outcome.events]
        return replace(outcome, events=events)

    def _reworded(self, event: Event, names: Mapping[str, Any]) -> Event:
        if self._whole is not None:
            event = event_of_mapping(event, _rendered(self._whole, names, NAMES, "mapping"))
        if self._name is not None:
            event = replace(event, event=checked_name(self._name.of(names)))
        if self._place is not None:
            place = checked_place(self._place.of(names))
            event = replace(event, resource_id=place, resource={**event.resource, ID_LABEL: place})
        return event


class _AnyCase(dict[str, str]):
    """Headers by name in any case."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower() if isinstance(name, str) else name)


def _names(delivery: Delivery, body: Any) -> dict[str, Any]:
    headers = _AnyCase()
    for name, value in delivery.headers:
        if not _SECRET_NAMES.search(name):
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return {"method": delivery.method, "headers": headers, "query": _query(delivery.query), "body": body}


def _query(text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=100, errors="replace")
    except ValueError:
        return {}
    return {name: value for name, value in pairs if not _SECRET_NAMES.search(name)}


def _rendered(value: Any, names: Mapping[str, Any], known: frozenset[str], place: str) -> Any:
    try:
        return render(value, names, known=known)
    except TemplateError as error:
        raise Poison(f"{place}: {error}"[:1000], reason="unusable_record") from None
