"""A failure as JSON: type, message and the traceback as its author wants it, without our frames."""

import asyncio
import concurrent.futures
import json
import traceback
from pathlib import Path
from typing import Any

TRACEBACK_CHARS_MAX = 16 << 10
MESSAGE_CHARS_MAX = 4 << 10
_OURS = Path(__file__).parents[1]
_HIDDEN = (
    *(str(_OURS / name) + "/" for name in ("flows", "streams", "schemas")),
    str(Path(asyncio.__file__).parent) + "/",
    str(Path(concurrent.futures.__file__).parent) + "/",
    "<frozen importlib",
)


def describe(error: BaseException) -> dict[str, Any]:
    """Return type, message and traceback of an error."""
    return {
        "type": type(error).__name__,
        "message": cut_middle(_message(error), MESSAGE_CHARS_MAX),
        "traceback": user_traceback(error),
    }


def as_json(error: BaseException) -> str:
    """Return `describe` as JSON text."""
    return json.dumps(describe(error))


def user_traceback(error: BaseException) -> str:
    """Return the traceback with the user's frames only, causes included, cut to a bound."""
    try:
        whole = traceback.TracebackException.from_exception(error, compact=True)
        _hide(whole, set())
        text = "".join(whole.format())
    except Exception as failed:
        # An exception whose own __str__ or source breaks must not take the report down.
        text = f"{type(error).__name__} (its traceback cannot be shown: {type(failed).__name__})\n"
    return cut_middle(text, TRACEBACK_CHARS_MAX)


def cut_middle(text: str, chars_max: int) -> str:
    """Return `text`, its middle left out where it is too long: start and end tell most."""
    if len(text) <= chars_max:
        return text
    half = chars_max // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failed:
        return f"(its text cannot be made: {type(failed).__name__})"


def _hide(part: traceback.TracebackException, seen: set[int]) -> None:
    if id(part) in seen:
        return
    seen.add(id(part))
    kept = [frame for frame in part.stack if not frame.filename.startswith(_HIDDEN)]
    part.stack = traceback.StackSummary.from_list(kept)
    for other in (part.__cause__, part.__context__, *(part.exceptions or ())):
        if other is not None:
            _hide(other, seen)
