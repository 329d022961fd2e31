"""Dates and times as JSON has them: RFC 3339 with a zone, µs at the finest, years that the store can hold."""

import re
from datetime import UTC, date, datetime, time
from typing import Any

from schemas.misfit import Misfit, Plain, shown, text_of

YEAR_MIN, YEAR_MAX = 1900, 2299  # what Date32 and DateTime64 of the store can hold everywhere
_TIME_CHARS_MAX = 64  # what is longer is none: cut, it is none either
_WANTED = "must be a time with its zone (RFC 3339), for example 2026-01-31T12:00:00.123456Z"
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?")
_HOUR, _SIXTIETH = "(?:[01][0-9]|2[0-3])", "[0-5][0-9]"
_WHEN = re.compile(
    rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T{_HOUR}:{_SIXTIETH}:{_SIXTIETH}(?:\.([0-9]+))?(?:Z|[+-]{_HOUR}:{_SIXTIETH})"
)


def _in_store(year: int) -> None:
    if not YEAR_MIN <= year <= YEAR_MAX:
        raise Misfit(f"lies in the year {year}; the store holds {YEAR_MIN} to {YEAR_MAX}")


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        return None


def _read_date(value: Any) -> date:
    found = _day(text_of(value, "a date as text"))
    if found is None:
        raise Misfit(f"must be a date, for example 2026-01-31, not {shown(value)}")
    _in_store(found.year)
    return found


def _write_date(value: Any) -> str:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise Misfit(f"must be a date, not {type(value).__name__}")
    _in_store(value.year)
    return value.isoformat()


def _clock(text: str, digits_max: int) -> time | None:
    """Return the time of day of `hh:mm:ss[.fraction]`, None when it is none; raises Misfit."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    fraction = found[4] or ""
    if len(fraction) > digits_max:
        raise _too_fine(digits_max)
    try:
        return time(int(found[1]), int(found[2]), int(found[3]), int(fraction.ljust(6, "0")))
    except ValueError:
        return None


def _too_fine(digits_max: int) -> Misfit:
    unit = "µs" if digits_max == 6 else "ms"
    return Misfit(f"is finer than {unit}: give at most {digits_max} digits after the seconds")


def _spec(digits_max: int) -> str:
    return "microseconds" if digits_max == 6 else "milliseconds"


def _fine(microsecond: int, digits_max: int) -> None:
    if digits_max == 3 and microsecond % 1000:
        raise Misfit("is finer than ms")


def _time_of_day(digits_max: int) -> Plain:
    def read(value: Any) -> time:
        found = _clock(text_of(value, "a time of day as text")[:_TIME_CHARS_MAX], digits_max)
        if found is None:
            raise Misfit(f"must be a time of day, for example 12:30:00.5, not {shown(value)}")
        return found

    def write(value: Any) -> str:
        if not isinstance(value, time):
            raise Misfit(f"must be a time, not {type(value).__name__}")
        if value.tzinfo is not None:
            raise Misfit("must be a time of day without a zone")
        _fine(value.microsecond, digits_max)
        return value.isoformat(timespec=_spec(digits_max))

    return Plain(read=read, write=write)


def _timestamp(digits_max: int) -> Plain:
    def read(value: Any) -> datetime:
        text = text_of(value, "a time as text")[:_TIME_CHARS_MAX]
        found = _WHEN.fullmatch(text)
        if found is None:
            raise Misfit(f"{_WANTED}, not {shown(value)}")
        if found[1] is not None and len(found[1]) > digits_max:
            raise _too_fine(digits_max)
        try:
            return _in_utc(datetime.fromisoformat(text))
        except Misfit:
            raise
        except ValueError:  # the 30th of February
            raise Misfit(f"{_WANTED}, not {shown(value)}") from None

    def write(value: Any) -> str:
        if not isinstance(value, datetime):
            raise Misfit(f"must be a datetime, not {type(value).__name__}")
        if value.utcoffset() is None:
            raise Misfit("has no time zone; give it one, for example datetime.now(UTC)")
        found = _in_utc(value)
        _fine(found.microsecond, digits_max)
        return found.replace(tzinfo=None).isoformat(timespec=_spec(digits_max)) + "Z"

    return Plain(read=read, write=write)


def _in_utc(at: datetime) -> datetime:
    if not YEAR_MIN - 1 <= at.year <= YEAR_MAX + 1:
        _in_store(at.year)  # at the ends of the calendar there is no other zone
    found = at if at.tzinfo is UTC else at.astimezone(UTC)
    _in_store(found.year)
    return found


DATE = Plain(read=_read_date, write=_write_date)
TIME_MILLIS, TIME_MICROS = _time_of_day(3), _time_of_day(6)
TIMESTAMP_MILLIS, TIMESTAMP_MICROS = _timestamp(3), _timestamp(6)
