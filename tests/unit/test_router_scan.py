"""The router's scan of raw events."""

import pytest

from schemas.codec import fixed_codec
from schemas.identity import derived_id
from schemas.record import EventRecord
from streams.kafka.log_record import LogRecord
from streams.router.known_ids import KnownIds
from streams.router.scan import Names, scan

pytestmark = pytest.mark.unit
CODEC = fixed_codec()


def record(offset: int, value: bytes | None) -> LogRecord:
    """A record of the events log."""
    return LogRecord("events", 0, offset, 1, None, value, ())


def framed(number: int, name: str) -> bytes:
    """The bytes of an event."""
    event_id = derived_id(number)
    return CODEC.encode(
        EventRecord(
            id=event_id,
            event=name,
            resource_id="r",
            occurred=1,
            received=1,
            resource="{}",
            related="[]",
            payload="{}",
            source="",
            causation_id=None,
            correlation_id=event_id,
            follows=None,
            replay_of=None,
        )
    )


def ids() -> KnownIds:
    """A window that holds the whole log."""
    return KnownIds(1000)


def test_only_names_that_interest_somebody_are_hits() -> None:
    """Events of other names are remembered and not handed on."""
    known = ids()
    found = scan(
        [record(0, framed(0, "wanted")), record(1, framed(1, "other"))], known, Names(lambda n: n == "wanted")
    )
    assert [(hit.record.offset, hit.id, hit.name) for hit in found.hits] == [(0, derived_id(0), "wanted")]
    assert known.young == {derived_id(0).encode(), derived_id(1).encode()}


def test_the_second_delivery_of_an_id_is_a_duplicate() -> None:
    """Within a batch and over batches, whatever generation of ids remembers the first."""
    known, names = ids(), Names(lambda _: True)
    first = scan([record(0, framed(0, "a")), record(1, framed(0, "a"))], known, names)
    known.old, known.young = known.young, set()
    second = scan([record(2, framed(0, "a")), record(3, framed(1, "a"))], known, names)
    assert [hit.duplicate for hit in (*first.hits, *second.hits)] == [False, True, True, False]


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\x00",
        b"\x01" + framed(0, "a")[1:],
        framed(0, "a")[:40],
        framed(0, "a name cut short")[:45],
        b"\x00\x00\x00\x00\x01\x48" + b"\xff" * 60,
        b"not in anybody's format at all, but long enough to be looked at",
    ],
)
def test_bytes_that_are_no_event_are_unreadable(value: bytes | None) -> None:
    """Each is handed on as unreadable with a reason, and the event after it is found."""
    found = scan([record(7, value), record(8, framed(0, "a"))], ids(), Names(lambda _: True))
    assert [bad.record.offset for bad in found.unreadable] == [7]
    assert found.unreadable[0].error.reason in {"truncated", "wrong_magic", "undecodable"}
    assert [hit.record.offset for hit in found.hits] == [8]


def test_long_names_are_read() -> None:
    """A name whose length takes two bytes goes the careful way and is found too."""
    name = "n" * 200
    found = scan([record(0, framed(0, name)), record(1, framed(1, name))], ids(), Names(lambda n: n == name))
    assert [hit.name for hit in found.hits] == [name, name]


def test_each_name_is_asked_for_once_and_names_are_bounded() -> None:
    """The index is asked once a name; senders cannot make the router remember names without bound."""
    asked: list[str] = []
    names = Names(lambda name: bool(asked.append(name)))
    known = ids()
    scan([record(n, framed(n, f"name-{n % 3}")) for n in range(9)], known, names)
    assert asked == ["name-0", "name-1", "name-2"]
    for number in range(20_000):
        names.learn(f"x{number}".encode())
    assert len(names.known) <= 10_000
