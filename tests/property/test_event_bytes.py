"""The quick writer of event records gives fastavro's bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import fixed_codec
from schemas.event import Event, from_micros
from schemas.event_record import to_record
from schemas.identity import derived_id
from schemas.record import EventRecord
from streams.gateway.avro_event import encode_event, micros_bytes
from streams.gateway.ids import canonical_id, fresh_ids
from streams.gateway.item import Writer
from streams.settings import LimitSettings

pytestmark = pytest.mark.property
CODEC = fixed_codec()
texts = st.text(max_size=20) | st.sampled_from(["x" * 63, "x" * 64, "é" * 4095, "y" * 4096, "z" * 1_100_000])
ids = st.integers().map(derived_id)
times = st.integers(-(1 << 62), (1 << 62) - 1)


def quick(record: EventRecord) -> bytes:
    """A record by the quick writer."""
    return encode_event(
        CODEC.header("event"),
        id_text=record.id.encode(),
        event=record.event.encode(),
        resource_id=record.resource_id.encode(),
        occurred=micros_bytes(record.occurred),
        received=micros_bytes(record.received),
        resource=record.resource.encode(),
        related=record.related.encode(),
        payload=record.payload.encode(),
        source=record.source.encode(),
        causation_id=record.causation_id,
        correlation_id=record.correlation_id.encode(),
        follows=record.follows,
        replay_of=record.replay_of,
        depth=record.depth,
    )


@given(
    record=st.builds(
        EventRecord,
        id=ids,
        event=texts,
        resource_id=texts,
        occurred=times,
        received=times,
        resource=texts,
        related=texts,
        payload=texts,
        source=texts,
        causation_id=st.none() | ids,
        correlation_id=ids,
        follows=st.none() | ids,
        replay_of=st.none() | ids,
        depth=st.integers(0, 31),
    )
)
def test_the_bytes_are_fastavros(record: EventRecord) -> None:
    """Every record is written byte for byte as fastavro writes it, and read back equal."""
    framed = quick(record)
    assert framed == CODEC.encode(record)
    assert CODEC.decode(framed, EventRecord) == record


short = st.text(max_size=20) | st.sampled_from(["x" * 63, "x" * 64, "é" * 4095, '\x00\x1f"\\\x7f'])
labels = st.dictionaries(short, short, max_size=3)
moments = st.integers(-2_000_000_000_000_000, 9_000_000_000_000_000).map(from_micros)


@given(
    event=st.builds(
        Event,
        id=ids,
        event=short,
        resource_id=short,
        occurred=moments,
        received=st.none() | moments,
        resource=labels,
        related=st.lists(labels, max_size=2),
        payload=st.dictionaries(
            texts, st.none() | st.booleans() | st.integers() | texts | labels, max_size=3
        ),
        source=short,
        causation_id=st.none() | ids,
        correlation_id=ids,
        depth=st.integers(0, 31),
    )
)
def test_a_sources_event_is_its_record(event: Event) -> None:
    """What a source made is written as its record is, without the way through one."""
    writer = Writer(header=CODEC.header("event"), partitions=8, limits=LimitSettings(event_bytes=7 << 20))
    _, key, value = writer.row_of(event)
    assert value == CODEC.encode(to_record(event))
    assert key == event.resource_id.encode()


@given(st.integers(1, 200))
def test_fresh_ids_are_uuids_of_version_7(count: int) -> None:
    """Ids drawn in bulk are distinct, canonical and of version 7."""
    drawn = fresh_ids(count)
    assert len(set(drawn)) == count
    assert all(canonical_id(text) == text and text[14] == "7" for text in drawn)


@given(st.uuids(), st.booleans(), st.booleans())
def test_any_spelling_of_a_uuid_has_one_form(uuid: object, dashes: bool, upper: bool) -> None:
    """Case and dashes do not matter; anything else is no UUID."""
    text = str(uuid) if dashes else str(uuid).replace("-", "")
    spelt = text.upper() if upper else text
    assert canonical_id(spelt) == str(uuid)
    for wrong in (
        spelt[:-1],
        spelt + "0",
        "{" + spelt + "}",
        spelt[:-1] + "g",
        spelt[:-1] + "\u0661",
        7,
        None,
    ):
        assert canonical_id(wrong) is None
