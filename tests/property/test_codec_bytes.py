"""Records to bytes and back, and what hostile bytes do."""

import json
import os
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import avro_schema, codec
from schemas.codec import CLASSES, Codec, UndecodableError, fixed_codec, peek
from schemas.new_id import new_id

pytestmark = pytest.mark.property
DRAWS_RECORDS = True  # dead letters with any reason among them

CODEC = fixed_codec()
ids = st.builds(new_id, st.integers(0, 1 << 47))
longs = st.integers(-(1 << 63), (1 << 63) - 1)
ints = st.integers(-(1 << 31), (1 << 31) - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.text(
    st.sampled_from("aé漢😀"), min_size=60, max_size=140
)


def of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of an Avro type, as our records hold them."""
    if isinstance(kind, list):
        return st.none() | of(kind[1])
    if isinstance(kind, dict):
        if kind["type"] == "array":
            return st.lists(of(kind["items"]), max_size=4).map(tuple)
        return ids if kind.get("logicalType") == "uuid" else of(kind["type"])
    return {"string": texts, "long": longs, "int": ints, "boolean": st.booleans(), "bytes": st.binary()}[kind]


def records() -> st.SearchStrategy[Any]:
    """Any record of any schema."""
    return st.one_of(*(_of_class(name) for name in avro_schema.names()))


def _of_class(name: str) -> st.SearchStrategy[Any]:
    columns = {f["name"]: of(f["type"]) for f in json.loads(avro_schema.text(name))["fields"]}
    columns["event"] = names
    return st.builds(CLASSES[name], **columns)


@given(records())
def test_a_record_survives_the_round_trip(item: Any) -> None:
    """What is encoded is decoded to the same record, and its id and name can be peeked."""
    framed = CODEC.encode(item)
    assert CODEC.decode(framed, type(item)) == item
    assert peek(framed) == (item.id, item.event)


@given(records(), st.data())
def test_truncated_records_are_refused_and_nothing_else(item: Any, data: st.DataObject) -> None:
    """A cut raises UndecodableError in decode, and in peek where it cuts id or name; no other error."""
    framed = CODEC.encode(item)
    cut = framed[: data.draw(st.integers(0, len(framed) - 1))]
    with pytest.raises(UndecodableError):
        CODEC.decode(cut, type(item))
    try:
        assert peek(cut) == (item.id, item.event)
    except UndecodableError:
        name_bytes = item.event.encode()
        assert len(cut) < codec.ID_AT + 36 + 1 + (len(name_bytes) > 63) + len(name_bytes)


@given(records(), st.binary(min_size=1, max_size=20))
def test_bytes_after_the_record_are_refused(item: Any, rest: bytes) -> None:
    """A record with something behind it is none: the store would take the rest for another record."""
    with pytest.raises(UndecodableError, match="follow the record's end"):
        CODEC.decode(CODEC.encode(item) + rest, type(item))


@given(st.binary(max_size=200), st.sampled_from(sorted(CLASSES)), st.booleans())
def test_random_bytes_are_refused_and_nothing_else(noise: bytes, name: str, framed: bool) -> None:
    """Random bytes, framed or not, raise UndecodableError only, in decode and in peek."""
    data = CODEC.header(name) + noise if framed else noise
    for read in (lambda: CODEC.decode(data, CLASSES[name]), lambda: peek(data)):
        attempt(read)


@given(records(), st.data())
def test_flipped_bytes_are_refused_or_are_another_record(item: Any, data: st.DataObject) -> None:
    """A changed byte gives another record or UndecodableError; peek and decode agree about what is read."""
    damaged = bytearray(CODEC.encode(item))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(5, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    found = attempt(lambda: CODEC.decode(bytes(damaged), type(item)))
    head = attempt(lambda: peek(bytes(damaged)))
    if found is not None and head is not None:
        assert head == (found.id, found.event)


def attempt(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except UndecodableError:
        return None


def test_random_bytes_cost_little() -> None:
    """A thousand random megabyte-sized values are refused in little time and memory."""
    noise = os.urandom(1 << 20)
    tracemalloc.start()
    started = time.perf_counter()
    for at in range(1000):
        data = CODEC.header("run_request") + noise[at * 64 :]
        attempt(lambda data=data: CODEC.decode(data, CLASSES["run_request"]))
    took_s = time.perf_counter() - started
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert took_s < 10
    assert peak_bytes < 32 << 20


class OneSchema:
    """A registry in which every id is the same schema."""

    def __init__(self, text: str) -> None:
        self._text = text

    def register(self, subject: str, schema: str) -> int:
        raise NotImplementedError

    def lookup(self, subject: str, schema: str) -> int:
        raise NotImplementedError

    def schema(self, schema_id: int) -> str:
        return self._text


def zigzag(number: int) -> bytes:
    value = number << 1 if number >= 0 else (-number << 1) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


FIRST = [
    {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
    {"name": "event", "type": "string"},
]
NULLS = {"type": "array", "items": "null"}


def event_with(extra: Any) -> str:
    """An event schema with one more field in front of the rest, which a reader has to skip."""
    schema = json.loads(avro_schema.text("event"))
    schema["fields"] = [*FIRST, {"name": "bomb", "type": extra}, *schema["fields"][2:]]
    return json.dumps(schema)


def doubling(levels: int) -> Any:
    inner: Any = "null"
    for level in range(levels):
        kept = {"type": "record", "name": f"L{level}", "fields": [{"name": "a", "type": inner}]}
        kept["fields"].append({"name": "b", "type": "null" if level == 0 else f"L{level - 1}"})
        inner = kept
    return inner


HOSTILE = {
    "array of null": NULLS,
    "array of empty records": {"type": "array", "items": {"type": "record", "name": "Nil", "fields": []}},
    "array of fixed 0": {"type": "array", "items": {"type": "fixed", "name": "F0", "size": 0}},
    "itself": {
        "type": "record",
        "name": "Node",
        "fields": [{"name": "next", "type": ["null", "Node"]}],
    },
    "itself through an array": {
        "type": "record",
        "name": "Tree",
        "fields": [{"name": "below", "type": {"type": "array", "items": "Tree"}}],
    },
    "2^30 values of no bytes": doubling(30),
    "a map of thousands of nulls": {"type": "map", "values": doubling(10)},
    "no Avro": {"type": "nonsense"},
}


@pytest.mark.parametrize("case", HOSTILE)
def test_schemas_that_unfold_are_not_read_with(case: str) -> None:
    """A registered schema whose data cost more than their bytes is refused before a byte is read."""
    hostile = Codec(OneSchema(event_with(HOSTILE[case])), {})
    data = b"\0\0\0\0\1" + zigzag(36) + b"0" * 36 + zigzag(1) + b"e" + zigzag(20_000_000) + b"\0"
    started = time.perf_counter()
    with pytest.raises(UndecodableError, match="not one to read with") as caught:
        hostile.decode(data, CLASSES["event"])
    assert caught.value.reason == "unknown_schema"
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    "count", [20_000_000, (1 << 62), -(1 << 62), -1], ids=["20 million", "2^62", "-2^62", "-1"]
)
def test_hostile_counts_and_lengths_are_refused(count: int) -> None:
    """Counts and lengths beyond the bytes that follow end at once, positive or negative."""
    item = CLASSES["run_request"](
        **{
            f.name: {"str": "", "int": 0}.get(getattr(f.type, "__name__", ""))
            for f in fields(CLASSES["run_request"])
        }
        | {"id": new_id(), "correlation_id": new_id(), "event_ids": (), "events": ()}
    )
    framed = CODEC.encode(item)
    for at in range(codec.HEADER_BYTES, len(framed)):
        started = time.perf_counter()
        attempt(lambda at=at: CODEC.decode(framed[:at] + zigzag(count) + framed[at:], CLASSES["run_request"]))
        attempt(lambda at=at: peek(framed[:at] + zigzag(count) + framed[at:]))
        assert time.perf_counter() - started < 1


def test_too_many_bytes_are_refused_unread() -> None:
    """More bytes than any topic takes are refused by their number."""
    with pytest.raises(UndecodableError) as caught:
        CODEC.decode(CODEC.header("event") + bytes(codec.RECORD_BYTES_MAX), CLASSES["event"])
    assert caught.value.reason == "too_large"


def test_a_second_version_is_read_beside_the_first() -> None:
    """Bytes of a schema with one more field decode to the same record as those of the first."""
    newer = event_with("string")
    assert Codec(OneSchema(newer), {})._writer(7) is not None
    empty = {
        f.name: {"str": "", "int": 0}.get(getattr(f.type, "__name__", "")) for f in fields(CLASSES["event"])
    }
    item = CLASSES["event"](**empty | {"id": new_id(), "event": "e", "correlation_id": new_id()})
    first = CODEC.encode(item)
    at = codec.ID_AT + 36 + 2
    second = first[:at] + zigzag(3) + b"new" + first[at:]
    assert Codec(OneSchema(newer), {}).decode(second, CLASSES["event"]) == item
