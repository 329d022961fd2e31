"""Avro bytes of an event without a schema walk: fastavro's bytes, written for this one flat record.

Equality with fastavro over `schemas/avro/event.avsc` is a property test, so a changed schema shows at once.
"""

from functools import lru_cache

_LENGTHS_MAX = 4096
_TIMES_QUICK_MIN = 1 << 28


def _zigzag(number: int) -> bytes:
    rest = number << 1 if number >= 0 else (-number << 1) - 1
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


_LENGTHS = tuple(_zigzag(n) for n in range(_LENGTHS_MAX))
_ABSENT = b"\x00"
_ID_LENGTH = _LENGTHS[36]
_PRESENT_ID = b"\x02" + _ID_LENGTH


def micros_bytes(us: int) -> bytes:
    """Return the Avro long of a time in µs; shared by all events of a request."""
    rest = us << 1
    if rest < _TIMES_QUICK_MIN:
        return _zigzag(us)
    # The upper bits are those of the last call for a second at a time.
    return bytes((rest & 0x7F | 0x80, rest >> 7 & 0x7F | 0x80, rest >> 14 & 0x7F | 0x80)) + _upper(rest >> 21)


@lru_cache(maxsize=16)
def _upper(rest: int) -> bytes:
    return _zigzag(rest >> 1) if not rest & 1 else _zigzag(-(rest + 1 >> 1))


def encode_event(
    header: bytes,
    *,
    id_text: bytes,
    event: bytes,
    resource_id: bytes,
    occurred: bytes,
    received: bytes,
    resource: bytes,
    related: bytes,
    payload: bytes,
    source: bytes,
    causation_id: str | None,
    correlation_id: bytes,
    follows: str | None,
    replay_of: str | None,
    depth: int,
) -> bytes:
    """Return the framed record; texts come as UTF-8, times from `micros_bytes`, ids with 36 characters."""
    return b"".join(
        (
            header,
            _ID_LENGTH,
            id_text,
            _length(event),
            event,
            _length(resource_id),
            resource_id,
            occurred,
            received,
            _length(resource),
            resource,
            _length(related),
            related,
            _length(payload),
            payload,
            _length(source),
            source,
            _ABSENT if causation_id is None else _PRESENT_ID + causation_id.encode(),
            _ID_LENGTH,
            correlation_id,
            _ABSENT if follows is None else _PRESENT_ID + follows.encode(),
            _ABSENT if replay_of is None else _PRESENT_ID + replay_of.encode(),
            _LENGTHS[depth],
        )
    )


def _length(data: bytes) -> bytes:
    count = len(data)
    return _LENGTHS[count] if count < _LENGTHS_MAX else _zigzag(count)
