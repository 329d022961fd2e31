"""A body of events to rows: content type → items → checked records. One bad item refuses the whole body."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from schemas.identity import derived_id
from streams.gateway.avro_event import micros_bytes
from streams.gateway.ids import fresh_ids
from streams.gateway.item import ItemRefused, Writer
from streams.gateway.ports import Row
from streams.gateway.problem import Problem
from streams.settings import LimitSettings
from streams.strict_json import JsonRefused, loads

ERRORS_NAMED_MAX = 20
_CONTENT_TYPES_CACHED = 64
_SLICE_EVENTS = 500  # so long at most others wait for the loop: about 5 ms
_SLICE_FOREIGN_EVENTS = 60


class Batch(NamedTuple):
    """The events of one body in their order."""

    ids: Sequence[str]
    rows: Sequence[Row]


Items = Iterator[Any]
RowMaker = Callable[[int, Any], tuple[str, Row]]
ItemParser = Callable[[bytes, LimitSettings], tuple[int, Items]]


def _json(body: bytes, limits: LimitSettings) -> tuple[int, Items]:
    """One object or an array of them."""
    start = body.lstrip(b" \t\r\n")[:1]
    if start == b"{" and len(body) > limits.event_bytes:
        raise Problem(413, "too-large", f"one event of {len(body)} bytes; {limits.event_bytes} are the most")
    try:
        value = loads(body, depth_max=limits.depth + (start == b"["))
    except JsonRefused as refused:
        raise Problem(400, "malformed-json", f"The body was refused: {refused}.") from None
    items = value if type(value) is list else [value]
    return len(items), _handed_out(items)


def _handed_out(items: list[Any]) -> Items:
    """Give items up as they are used, so that values and records are not both held."""
    items.reverse()
    while items:
        yield items.pop()


def _ndjson(body: bytes, limits: LimitSettings) -> tuple[int, Items]:
    """One object a line; empty lines are skipped and not counted."""
    if body.count(b"\n") > 2 * limits.events_per_body:
        raise _too_many(body.count(b"\n"), limits)
    lines = [line for line in body.split(b"\n") if line and not line.isspace()]
    return len(lines), (_line(line, limits) for line in lines)


def _line(line: bytes, limits: LimitSettings) -> Any:
    if len(line) > limits.event_bytes:
        reason = f"the event has {len(line)} bytes, {limits.event_bytes} are the most"
        return ItemRefused("", reason, status=413)
    try:
        return loads(line, depth_max=limits.depth)
    except JsonRefused as refused:
        return ItemRefused("", str(refused))


# Forms that need more than the body (CloudEvents: its headers) are in `streams.gateway.body_form`.
PARSERS: Mapping[str, ItemParser] = {
    "application/json": _json,
    "application/x-ndjson": _ndjson,
    "application/ndjson": _ndjson,
}


@lru_cache(maxsize=_CONTENT_TYPES_CACHED)
def parser_of(content_type: str) -> ItemParser:
    """Return the parser of a Content-Type; else Problem 415, so for all that a foreign page may send."""
    kind, _, parameters = content_type.partition(";")
    parser = PARSERS.get(kind.strip().lower())
    charset = parameters.lower().replace(" ", "").replace('"', "")
    if parser is None or charset not in {"", "charset=utf-8"}:
        shown = content_type[:100] or "missing"
        known = ", ".join(sorted(PARSERS))
        raise Problem(415, "content-type", f"Content-Type is {shown}; use one of {known}, in UTF-8.")
    return parser


async def parse(
    body: bytes,
    parser: ItemParser,
    writer: Writer,
    *,
    received_us: int,
    idempotency_key: str | None,
    foreign: bool = False,
) -> Batch:
    """Return the body's events as rows; raises Problem. Lets others run between slices of a long body.

    A body in a `foreign` form may hold no event, and each of its events takes longer.
    """
    limits = writer.limits
    count, items = parser(body, limits)
    if count > limits.events_per_body:
        raise _too_many(count, limits)
    if count == 0 and not foreign:
        raise Problem(422, "no-events", "The body holds no event.")
    drawn = (
        fresh_ids(count)
        if idempotency_key is None
        else [derived_id("post", idempotency_key, at) for at in range(count)]
    )
    received = micros_bytes(received_us)

    def row(at: int, item: Any) -> tuple[str, Row]:
        if type(item) is ItemRefused:
            raise item
        return writer.row(item, drawn_id=drawn[at], received=received)

    return await batch_of(items, row, slice_events=_SLICE_FOREIGN_EVENTS if foreign else _SLICE_EVENTS)


async def batch_of(items: Iterable[Any], row: RowMaker, *, slice_events: int) -> Batch:
    """Return the rows of all items; raises Problem naming those that are refused, the first 20 at most.

    Args:
        items: As the body has them.
        row: Makes one row of an item's index and value; raises ItemRefused.
        slice_events: After so many items others may run.

    """
    ids: list[str] = []
    rows: list[Row] = []
    errors: list[dict[str, Any]] = []
    status = 0
    for at, item in enumerate(items):
        try:
            id_text, made = row(at, item)
        except ItemRefused as refused:
            status = status or refused.status
            errors.append({"index": at, "field": refused.field, "reason": refused.reason})
            if len(errors) >= ERRORS_NAMED_MAX:
                break
        else:
            ids.append(id_text)
            rows.append(made)
        if at % slice_events == slice_events - 1:
            await asyncio.sleep(0)
    if errors:
        raise _invalid(errors, status)
    return Batch(ids=ids, rows=rows)


def _invalid(errors: list[dict[str, Any]], status: int) -> Problem:
    first = errors[0]
    where = f"event {first['index']}" + (f", field {first['field']}" if first["field"] else "")
    return Problem(status, "invalid-event", f"Nothing was taken: {where}: {first['reason']}.", errors=errors)


def _too_many(count: int, limits: LimitSettings) -> Problem:
    return Problem(
        413,
        "too-many-events",
        f"The body holds {count} events, {limits.events_per_body} are the most; send it in parts.",
    )
