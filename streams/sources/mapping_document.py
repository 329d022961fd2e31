"""A mapping: the template of a whole event, read as JSON before it is rendered.

So no sender can write structure into it: what is rendered stays a text where a text stood.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from flows.errors import TemplateError
from flows.template import check
from schemas.event import ID_LABEL, PREFECT_ID_LABEL, PREFECT_ROLE_LABEL, ROLE_LABEL, Event
from schemas.identity import derived_id
from streams.errors import BadInput, Poison
from streams.sources.made_event import checked_name, checked_place, label, millis, time_of

RELATED_MAX = 100
LABELS_MAX = 500
_MEMBERS = frozenset(("id", "event", "resource", "related", "payload", "occurred"))
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_EXPRESSION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_TO_JSON = re.compile(r"\|\s*tojson\s*$")


def mapping_document(text: str, *, known: frozenset[str]) -> Any:
    """Return a mapping as JSON whose texts are templates over the `known` names; raises BadInput.

    `"payload": {{ body }}` without quotes, as Prefect Cloud's templates have it, means the value itself.
    """
    quoted = "".join(_quoted(text))
    try:
        document = json.loads(quoted)
        check(document, known=known)
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


def event_of_mapping(event: Event, document: Any) -> Event:
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
