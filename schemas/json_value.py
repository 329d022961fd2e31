"""JSON ↔ Python values of Avro's plain types: the one place where the rules of docs/reference/json.md stand.

Every rule is exact both ways: what is read is written as the same value, what cannot be said exactly is
refused with a sentence. Texts read have one meaning in every program, SQL included.
"""

import binascii
import math
import re
import struct
from base64 import b64decode, b64encode
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from schemas import json_time
from schemas.misfit import Misfit, Plain, json_word, shown, text_of

_INT_MAX, _LONG_MAX = (1 << 31) - 1, (1 << 63) - 1
_FLOAT = struct.Struct("<f")
_FLOAT_MAX = 3.4028234663852886e38
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(?:\.([0-9]+))?")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


# --- text, truth, numbers ---


def _read_text(value: Any) -> str:
    return text_of(value)


def _write_text(value: Any) -> str:
    found = value.value if isinstance(value, Enum) else value
    if not isinstance(found, str):
        raise Misfit(f"must be a str, not {type(value).__name__}")
    try:
        found.encode()
    except UnicodeEncodeError:
        raise Misfit("holds half of a surrogate pair, which is no text") from None
    return str(found)


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise Misfit(f"must be true or false, not {json_word(value)}")
    return value


def _nothing(value: Any) -> None:
    if value is not None:
        raise Misfit(f"must be null, not {json_word(value)}")


def _whole(limit: int) -> Callable[[Any], int]:
    bits = limit.bit_length() + 1

    def checked(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise Misfit(f"must be a whole number, not {json_word(value)}")
        if not -limit - 1 <= value <= limit:
            raise Misfit(f"must fit {bits} bits, from {-limit - 1} to {limit}")
        return int(value)

    return checked


def _double(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Misfit(f"must be a number, not {json_word(value)}")
    try:
        found = float(value)
    except OverflowError:
        raise Misfit("is larger than a double can be") from None
    if not math.isfinite(found):
        raise Misfit("must be finite; JSON has no NaN and no infinity")
    if isinstance(value, int) and found != value:
        raise Misfit(f"the whole number {shown(value)} is not exact as a double")
    return found


def _single(value: Any) -> float:
    try:
        return float(_FLOAT.unpack(_FLOAT.pack(_double(value)))[0])
    except OverflowError:
        raise Misfit("is larger than a float of 32 bits can be") from None


def _write_single(value: Any) -> float:
    """Return the shortest number that is read as the same 32 bits."""
    found = _single(value)
    for digits in range(6, 9):
        short = float(f"{found:.{digits}g}")
        if abs(short) <= _FLOAT_MAX and _single(short) == found:
            return short
    return float(f"{found:.9g}")


# --- bytes ---


def _read_bytes(value: Any) -> bytes:
    text = text_of(value, "bytes as base64 text")
    try:
        found = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if b64encode(found).decode() != text:
        raise Misfit("must be base64 with its padding (RFC 4648, section 4)")
    return found


def _write_bytes(value: Any) -> str:
    if not isinstance(value, bytes | bytearray):
        raise Misfit(f"must be bytes, not {type(value).__name__}")
    return b64encode(value).decode()


def fixed(size: int) -> Plain:
    """Return bytes of one length."""

    def sized(found: bytes) -> bytes:
        if len(found) != size:
            raise Misfit(f"must be {size} bytes, not {len(found)}")
        return found

    return Plain(
        read=lambda value: sized(_read_bytes(value)),
        write=lambda value: _write_bytes(sized(value) if isinstance(value, bytes) else value),
    )


# --- decimals ---


def decimal(precision: int, scale: int) -> Plain:
    """Return decimals of `precision` digits, `scale` of them after the point; JSON has them as text."""
    whole = precision - scale
    bounds = f"at most {whole} digits before and {scale} after the point"

    def read(value: Any) -> Decimal:
        if type(value) is not str:
            raise Misfit(f'must be a decimal as text, for example "12.50", not {json_word(value)}')
        if not (found := _DECIMAL.fullmatch(value)):
            raise Misfit(f"must be a decimal as text with {bounds}, not {shown(value)}")
        if len(found[1].lstrip("0")) > whole or len(found[2] or "") > scale:
            raise Misfit(f"has {bounds}; this is {shown(value)}")
        return Decimal(value)

    def write(value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, Decimal | int):
            raise Misfit(f"must be a Decimal, not {type(value).__name__}")
        number = Decimal(value)
        if not number.is_finite():
            raise Misfit("must be finite")
        sign, digits, exponent = number.as_tuple()
        assert isinstance(exponent, int)
        kept = "".join(map(str, digits)).lstrip("0")
        if not kept:
            return f"0.{'0' * scale}" if scale else "0"
        short = kept.rstrip("0")
        exponent += len(kept) - len(short)
        if -exponent > scale or len(short) + exponent > whole:
            raise Misfit(f"has {bounds}; this is {shown(value)}")
        text = (short + "0" * (exponent + scale)).rjust(scale + 1, "0")
        point = f"{text[: len(text) - scale]}.{text[len(text) - scale :]}" if scale else text
        return f"-{point}" if sign else point

    return Plain(read=read, write=write)


# --- identifiers ---


def _read_uuid(value: Any) -> UUID:
    text = text_of(value, "a UUID as text")
    if not _UUID.fullmatch(text):
        raise Misfit(f"must be a UUID of 36 characters, not {shown(value)}")
    return UUID(text)


def _write_uuid(value: Any) -> str:
    if isinstance(value, UUID):
        return str(value)
    raise Misfit(f"must be a UUID, not {type(value).__name__}")


TYPES = {
    "null": Plain(read=_nothing, write=_nothing),
    "boolean": Plain(read=_boolean, write=_boolean),
    "int": Plain(read=_whole(_INT_MAX), write=_whole(_INT_MAX)),
    "long": Plain(read=_whole(_LONG_MAX), write=_whole(_LONG_MAX)),
    "float": Plain(read=_single, write=_write_single),
    "double": Plain(read=_double, write=_double),
    "bytes": Plain(read=_read_bytes, write=_write_bytes),
    "string": Plain(read=_read_text, write=_write_text),
    "uuid": Plain(read=_read_uuid, write=_write_uuid),
    "date": json_time.DATE,
    "time-millis": json_time.TIME_MILLIS,
    "time-micros": json_time.TIME_MICROS,
    "timestamp-millis": json_time.TIMESTAMP_MILLIS,
    "timestamp-micros": json_time.TIMESTAMP_MICROS,
}


def one_of(symbols: frozenset[str]) -> Plain:
    """Return texts from a list."""
    known = ", ".join(sorted(symbols))

    def read(value: Any) -> str:
        if type(value) is not str or value not in symbols:
            raise Misfit(f"must be one of {known[:300]}, not {json_word(value)}")
        return value

    def write(value: Any) -> str:
        return read(value.value if isinstance(value, Enum) else value)

    return Plain(read=read, write=write)
