"""The quick writer of event records gives fastavro's bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import fixed_codec
from schemas.identity import derived_id
from schemas.record import EventRecord
from streams.gateway.avro_event import encode_record
from streams.gateway.ids import canonical_id, fresh_ids

pytestmark = pytest.mark.property
CODEC = fixed_codec()
texts = st.text(max_size=20) | st.sampled_from(["x" * 63, "x" * 64, "é" * 4095, "y" * 4096, "z" * 1_100_000])
ids = st.integers().map(derived_id)
times = st.integers(-(1 << 62), (1 << 62) - 1)


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
    framed = encode_record(CODEC.header("event"), record)
    assert framed == CODEC.encode(record)
    assert CODEC.decode(framed, EventRecord) == record


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
