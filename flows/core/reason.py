"""Why: one value, made where the decision is made; everybody else only renders it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from schemas.record import EventRecord

TEXT_CHARS_MAX = 200
_STORAGE_PREFIX = "storage.object."


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """One condition and the value that satisfied it."""

    where: str  # expect, match or match_related
    label: str  # empty for expect
    pattern: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """What a trigger made of one event, and why.

    Attributes:
        state: Triggered, Waiting, Duplicate, Paused, NotMatched, LoopGuard, TooLarge or Template.
        event: The event that was looked at: id, event, resource_id, occurred in µs.
        happened: What it says in words.
        matched: The conditions that held.
        group: Values of `for_each`.
        count: Events of the group so far, this one included.
        threshold: How many it takes.
        event_ids: Events of the firing, or those held.
        problem: What went wrong, as a sentence.

    """

    state: str
    event: Mapping[str, Any]
    happened: str
    matched: tuple[Matched, ...] = ()
    group: Mapping[str, str] = field(default_factory=dict)
    count: int = 1
    threshold: int = 1
    event_ids: tuple[str, ...] = ()
    problem: str = ""


def event_facts(event: EventRecord) -> dict[str, Any]:
    """Return what a reason keeps of an event."""
    return {
        "id": event.id,
        "event": event.event,
        "resource_id": event.resource_id,
        "occurred": event.occurred,
    }


def happened(name: str, resource_id: str, labels: Mapping[str, str]) -> str:
    """Return in words what an event says."""
    verb = name.removeprefix(_STORAGE_PREFIX)
    if verb != name and "key" in labels and "bucket" in labels and verb != "other":
        return f"{_short(labels['key'])} was {verb} in bucket {_short(labels['bucket'])}"
    return f"{_short(name)} happened to {_short(resource_id)}"


def as_json(reason: Reason) -> str:
    """Return the why-tree as JSON text; its `text` member is the sentence that every reader shows."""
    tree = {"text": text(reason), **asdict(reason)}
    return json.dumps(tree, separators=(",", ":"), ensure_ascii=False)


def text_of(json_text: str) -> str:
    """Return the sentence of a why-tree that was stored as JSON text; empty when it has none."""
    try:
        tree = json.loads(json_text)
    except ValueError:
        return ""
    found = tree.get("text", "") if isinstance(tree, dict) else ""
    return found if isinstance(found, str) else ""


def text(reason: Reason) -> str:
    """Return a reason as one line."""
    because = f"{reason.happened}{_matched(reason)}"
    of = f"{reason.count} of {reason.threshold} events{_group(reason)}"
    match reason.state:
        case "Triggered" if reason.threshold > 1 or reason.count > 1:
            return f"because {of} came, the last: {because}"
        case "Triggered":
            return f"because {because}"
        case "Waiting":
            return f"waiting: {of} came, the last: {because}"
        case "Duplicate":
            return f"an event with this id was already seen, nothing happens again: {reason.happened}"
        case "Paused":
            return f"the trigger is paused: {because}"
        case "NotMatched":
            return f"the trigger in force no longer matches: {reason.happened}"
    return f"{reason.problem} ({reason.happened})"


def _matched(reason: Reason) -> str:
    if not reason.matched:
        return ""
    parts = [" ".join(p for p in (_WORDS[m.where], m.label, _short(m.pattern)) if p) for m in reason.matched]
    return f" (matched {', '.join(parts)})"


_WORDS = {"expect": "expect", "match": "", "match_related": "related"}


def _group(reason: Reason) -> str:
    if not reason.group:
        return ""
    return " with " + ", ".join(f"{label} {_short(value)}" for label, value in reason.group.items())


def _short(value: str) -> str:
    return value if len(value) <= TEXT_CHARS_MAX else value[: TEXT_CHARS_MAX - 1] + "…"
