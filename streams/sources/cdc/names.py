"""Column names in Avro, which allows letters, digits and underscores: Debezium's reversible `avro_unicode`.

Every other character, the underscore among them, is written `_uXXXX`, and so is a digit at the beginning.
"""

import re
from typing import Any

_CODED = re.compile(r"_u([0-9a-fA-F]{4})")
_PLAIN = re.compile(r"[A-Za-z0-9]|_u[0-9a-fA-F]{4}")


def is_adjusted(name: str) -> bool:
    """Return whether a name can be one that was written so: no character stands bare that is coded."""
    return not _PLAIN.sub("", name)


def name_of(adjusted: str) -> str:
    """Return the column's own name."""
    if "_" not in adjusted:
        return adjusted
    units = _CODED.sub(lambda found: chr(int(found[1], 16)), adjusted)
    # UTF-16 as Java has it: a character beyond the first plane came as two.
    return units.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def row_of(adjusted: dict[str, Any]) -> dict[str, Any]:
    """Return a row under its columns' own names."""
    return {name_of(name): value for name, value in adjusted.items()}
