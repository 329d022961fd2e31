"""Templates of a source: what its events are called, what they are about, or the whole event.

They are the parameter templates of flows (Jinja expressions from an allow-list) over `method`, `headers`,
`query`, `body` and `event`, the event as the kind itself would word it. A template of the whole event is
read as JSON *before* it is rendered, so that no sender can write structure into it.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable
from urllib.parse import parse_qsl

from flows.errors import TemplateError
from flows.template import check, event_view, render
from schemas.event import ID_LABEL, PREFECT_ID_LABEL, PREFECT_ROLE_LABEL, ROLE_LABEL, Event
from schemas.identity import derived_id
from streams.errors import BadInput, Poison
from streams.inbound import Delivery, Outcome, Taken
from streams.sources.http_source import Form
from streams.sources.made_event import checked_name, checked_place, label, millis, time_of
from streams.sources.webhooks.body import parsed

FROM_CLOUD_EVENT = "from_cloud_event"
NAMES = frozenset(("method", "headers", "query", "body", "event"))
RELATED_MAX = 100
LABELS_MAX = 500
_MEMBERS = frozenset(("id", "event", "resource", "related", "payload", "occurred"))
# A header or field whose name has one of these may be a credential: templates never see it.
_SECRET_NAMES = re.compile(
    r"authoriz|authentic|cookie|signature|hmac|token|secret|passw|credential|api-?_?key|^(code|sig|key)$",
    re.IGNORECASE,
)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_EXPRESSION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_TO_JSON = re.compile(r"\|\s*tojson\s*$")


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
        self._whole = None if wording.mapping is None else _document(wording.mapping)

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
            event = _whole_event(event, _rendered(self._whole, names, NAMES, "mapping"))
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


def _document(text: str) -> Any:
    """Return a mapping as JSON whose texts are templates; raises BadInput.

    `"payload": {{ body }}` without quotes, as Prefect Cloud's templates have it, means the value itself.
    """
    quoted = "".join(_quoted(text))
    try:
        document = json.loads(quoted)
        check(document, known=NAMES)
    except TemplateError as error:
        raise BadInput(f"mapping: {error}") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"mapping is not JSON with templates as its texts: {error}") from None
    if isinstance(document, Mapping):
        unknown = sorted(document.keys() - _MEMBERS)
        if unknown:
            raise BadInput(f"mapping has {unknown[0][:50]!r}; an event has {', '.join(sorted(_MEMBERS))}")
        if "event" not in document or "resource" not in document:
            raise BadInput("mapping needs event and resource")
    elif not isinstance(document, str):
        raise BadInput("mapping must be an object, or one template that gives one")
    return document


def _quoted(text: str) -> Iterator[str]:
    """Yield the text with every template that stands outside quotes as a JSON text."""
    at = 0
    while at < len(text):
        if text[at] == '"':
            found = _STRING.match(text, at)
            yield found[0] if found else text[at:]
            at = found.end() if found else len(text)
        elif text.startswith("{{", at) and (found := _EXPRESSION.match(text, at)):
            yield json.dumps(f"{{{{{_TO_JSON.sub('', found[1].strip())}}}}}")
            at = found.end()
        else:
            yield text[at]
            at += 1


def _whole_event(event: Event, document: Any) -> Event:
    """Return the event that a rendered mapping describes; raises Poison naming the member at fault."""
    if not isinstance(document, Mapping):
        raise _unusable("is no object")
    if not document.keys() <= _MEMBERS:
        raise _unusable(f"has {min(map(str, document.keys() - _MEMBERS))[:50]!r}, which no event has")
    resource = _labels(document.get("resource"), "resource")
    place = resource.pop(ID_LABEL, "") or resource.get(PREFECT_ID_LABEL, "")
    if resource.get(PREFECT_ID_LABEL, place) != place:
        raise _unusable(f"has a {ID_LABEL} and another {PREFECT_ID_LABEL}")
    payload = document.get("payload", event.payload)
    if not isinstance(payload, Mapping):
        payload = {"body": payload}
    occurred = None
    if document.get("occurred") is not None:
        occurred = time_of(document["occurred"])
        if occurred is None:
            raise _unusable("has an occurred that is no time")
    number = event.id
    if document.get("id") is not None:
        told = label(document["id"])
        if not told:
            raise _unusable("has an id that is no text")
        # A name within this source: one sender cannot take the ids of another's events.
        number = derived_id("mapped", event.source, told, ms=millis(occurred))
    return Event(
        id=number,
        event=checked_name(label(document.get("event"))),
        resource_id=checked_place(place),
        resource={ID_LABEL: place, **resource},
        related=_related(document.get("related")),
        occurred=occurred or event.occurred,
        payload=payload,
        source=event.source,
    )


def _unusable(what: str) -> Poison:
    return Poison(f"the mapping's result {what}", reason="unusable_record")


def _labels(value: Any, name: str) -> dict[str, str]:
    if not isinstance(value, Mapping) or len(value) > LABELS_MAX:
        raise _unusable(f"has no object {name} of at most {LABELS_MAX} labels")
    return {str(key): text for key, found in value.items() if (text := label(found))}


def _related(value: Any) -> tuple[Mapping[str, str], ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > RELATED_MAX:
        raise _unusable(f"has a related that is no list of at most {RELATED_MAX}")
    found = tuple(_labels(one, "related") for one in value)
    for labels in found:
        if not (labels.get(ID_LABEL) or labels.get(PREFECT_ID_LABEL)):
            raise _unusable(f"has a related resource without {ID_LABEL}")
        if not (labels.get(ROLE_LABEL) or labels.get(PREFECT_ROLE_LABEL)):
            raise _unusable(f"has a related resource without {ROLE_LABEL}")
    return found
