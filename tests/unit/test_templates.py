"""Parameter templates: what they see and what they may not do."""

from datetime import UTC, datetime

import pytest

from flows import template
from flows.errors import TemplateError
from schemas.event import Event

pytestmark = pytest.mark.unit
EVENT = Event(
    id="1",
    event="order.created",
    resource_id="order.1",
    occurred=datetime(2026, 1, 2, tzinfo=UTC),
    resource={"prefect.resource.id": "order.1", "bucket": "b", "items": "label"},
    payload={"n": 3, "items": [1, {"keys": "k"}], "none": None},
)
NAMES = template.scope(events=[EVENT], firing={"id": "f"}, labels={"user": "u"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("{{ event.resource.bucket }}", "b"),
        ('{{ event.resource["bucket"] }}', "b"),
        ('{{ event.resource["resource.id"] }}', "order.1"),
        ("{{ event.resource.items }}", "label"),
        ("{{ event.payload.items[1].keys }}", "k"),
        ("{{ event.payload.n }}", 3),
        ("{{ event.payload }}", EVENT.payload),
        ("{{ event.payload.none }}", None),
        ("n={{ event.payload.n }}!", "n=3!"),
        ("{{ event.payload.items }}.", '[1, {"keys": "k"}].'),
        ("{{ event.occurred }}", "2026-01-02T00:00:00Z"),
        ("{{ event.resource.nope | default('d') }}", "d"),
        ("{{ event.payload.n + 1 if event.payload.n > 2 else 0 }}", 4),
        ("{{ event.resource_id[6:] }}", "1"),
        ("{{ labels.user ~ '-' ~ firing.id }}", "u-f"),
        ("{{ events | length }}", 1),
    ],
)
def test_templates_read_data_and_keep_its_type(text: str, expected: object) -> None:
    """An expression alone keeps its JSON type; names after a dot are data even where a dict has a method."""
    template.check(text)
    assert template.render(text, NAMES) == expected


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in events %}x{% endfor %}",
        "{% set x = 1 %}",
        "{% macro m() %}{% endmacro %}",
        "{{ 'a' * 1000000 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ '%99999999d' % 1 }}",
        "{{ range(10) }}",
        "{{ event.resource.get('x') }}",
        "{{ ''.__class__.__mro__ }}{{ self }}",
        "{{ cycler }}",
        "{{ 'a' | center(99999999) }}",
        "{{ event | attr('id') }}",
        "{{" + " ~ ".join(["event.id"] * 40) + "}}",
        "{{ " + "(" * 1000 + "1" + ")" * 1000 + " }}",
        "{{ event.",
        "{{ event.id }}" * 400,
    ],
)
def test_what_could_loop_or_escape_is_refused(text: str) -> None:
    """Loops, calls, powers, repetition, unknown names and filters are refused before anything runs."""
    with pytest.raises(TemplateError):
        template.check({"a": [text]})


@pytest.mark.parametrize(
    "text",
    [
        "{{ event.resource.nope }}",
        "{{ event.payload.a.b }}",
        "{{ event.__class__ }}",
        "{{ event.payload.__class__ }}",
        "{{ event.id.__class__ }}",
        "{{ event.payload.n / 0 }}",
        "x{{ events[7] }}",
    ],
)
def test_what_is_missing_is_named(text: str) -> None:
    """Rendering what is not there fails with the template and the missing name; attributes are not data."""
    with pytest.raises(TemplateError, match="cannot be rendered"):
        template.render(text, NAMES)


def test_output_is_bounded() -> None:
    """Parameters that render to more than a mebibyte are refused with the way out."""
    big = Event(
        id="1",
        event="e",
        resource_id="r",
        occurred=EVENT.occurred,
        payload={"x": "y" * template.OUTPUT_BYTES_MAX},
    )
    with pytest.raises(TemplateError, match="argument typed Event"):
        template.render("{{ event.payload.x }}", template.scope(events=[big], firing={}, labels={}))
