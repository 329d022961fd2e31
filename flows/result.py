"""Results as JSON: what the journal can keep, and what it gives back."""

import json
import math
from typing import Any

RESULT_BYTES_MAX = 1 << 20
NESTING_MAX = 64


def as_json(value: Any) -> str | None:
    """Return JSON text of a result, or None when it is not JSON or larger than RESULT_BYTES_MAX.

    JSON are None, bool, int, finite float, str, lists and tuples (they come back as lists) and dicts with
    text keys. Anything else (a data frame, a connection) is not journaled.
    """
    if not _is_json(value, 0):
        return None
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size_bytes = len(text.encode())
    except (ValueError, TypeError):  # lone surrogates, huge integers
        return None
    return text if size_bytes <= RESULT_BYTES_MAX else None


def _is_json(value: Any, nesting: int) -> bool:
    if value is None or isinstance(value, bool | int | str):
        return True
    if isinstance(value, float):
        return math.isfinite(value)
    if nesting >= NESTING_MAX:
        return False
    if isinstance(value, list | tuple):
        return all(_is_json(one, nesting + 1) for one in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(one, nesting + 1) for key, one in value.items())
    return False
