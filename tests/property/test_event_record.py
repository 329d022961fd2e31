"""Between the event that a person sees and its bytes."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import fixed_codec
from schemas.event import Event, from_micros, micros
from schemas.event_record import to_event, to_record
from schemas.new_id import new_id
from schemas.record import EventRecord

pytestmark = pytest.mark.property

CODEC = fixed_codec()
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
labels = st.dictionaries(texts, texts, max_size=4)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 53), 1 << 53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=zones)  # noqa: DTZ001 - the zone is drawn
ids = st.builds(new_id, st.integers(0, 1 << 47))

events = st.builds(
    Event,
    id=ids,
    event=texts,
    resource_id=texts,
    occurred=times,
    received=times,
    resource=labels,
    related=st.lists(labels, max_size=3).map(tuple),
    payload=st.dictionaries(texts, json_values, max_size=4),
    source=texts,
    causation_id=st.none() | ids,
    correlation_id=ids,
    follows=st.none() | ids,
    replay_of=st.none() | ids,
    depth=st.integers(0, 31),
)


@given(events)
def test_an_event_survives_its_bytes(event: Event) -> None:
    """An event encoded and decoded is the same event, its times in UTC to the microsecond."""
    found = to_event(CODEC.decode(CODEC.encode(to_record(event)), EventRecord))
    assert found == event
    assert found.occurred.tzinfo is UTC


@given(times)
def test_microseconds_are_exact(at: datetime) -> None:
    """No float stands between a time and its microseconds, before 1970 either."""
    assert from_micros(micros(at)) == at


def test_a_time_without_zone_is_refused() -> None:
    """An event that does not say which zone its time is in cannot be made."""
    with pytest.raises(ValueError, match="occurred has no time zone"):
        Event(id=new_id(), event="e", resource_id="r", occurred=datetime(2026, 1, 1))  # noqa: DTZ001 - the point


def test_not_yet_received_counts_as_received_when_it_occurred() -> None:
    """Before the gateway took it in, an event's record carries its own time."""
    event = Event(id=new_id(), event="e", resource_id="r", occurred=datetime(2026, 1, 1, tzinfo=UTC))
    assert to_record(event).received == to_record(event).occurred
    assert event.correlation_id == event.id
