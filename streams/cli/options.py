"""Options that several commands share, and how times are written."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from streams.errors import BadInput

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder (default ./.ensue).", metavar="DIR")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", help="Only from then on: 15m, 2h, 3d, or a time like 2026-11-22T14:00."),
]
UntilOption = Annotated[str | None, typer.Option("--until", help="Only before then; written as --since.")]
LimitOption = Annotated[
    int, typer.Option("--limit", min=1, max=100_000, help="At most so many rows, newest first.")
]
FollowOption = Annotated[
    bool, typer.Option("--follow", "-f", help="Go on as new ones come, one JSON document a line.")
]

_RELATIVE = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_UNIT_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_time(text: str | None, *, now: datetime | None = None) -> datetime | None:
    """Return the time that `text` names: relative to now (2h) or ISO 8601 (UTC when it has no zone).

    Raises BadInput for anything else.
    """
    if text is None:
        return None
    found = _RELATIVE.fullmatch(text.strip())
    if found:
        try:
            return (now or datetime.now(UTC)) - timedelta(seconds=float(found[1]) * _UNIT_S[found[2]])
        except OverflowError as error:
            raise BadInput(f"{text!r} reaches back before the year 1; give a shorter time") from error
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"{text!r} is no time; write 15m, 2h, 3d or 2026-11-22T14:00") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)
