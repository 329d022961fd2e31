"""Values that the log does not have: large columns that an update left alone (TOAST)."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Placeholder:
    """What the connector writes in place of such a value.

    Attributes:
        text: As configured (`unavailable.value.placeholder`).

    """

    text: str

    def stands(self, value: Any) -> bool:
        """Return whether a value is the placeholder, in any of the forms that it takes by type."""
        if isinstance(value, str):
            return value in {self.text, b64encode(self.text.encode()).decode()}
        if isinstance(value, list):
            return len(value) == 1 and self.stands(value[0])
        if isinstance(value, Mapping):
            return len(value) == 1 and self.text in value
        return False

    def filled(
        self, row: Mapping[str, Any] | None, before: Mapping[str, Any] | None
    ) -> tuple[dict[str, Any] | None, list[str]]:
        """Return a row with such values taken from the row before, and the columns that stay unknown.

        Those are left out: a value that was never there is worse than none.
        """
        if row is None:
            return None, []
        found: dict[str, Any] = {}
        missing: list[str] = []
        for name, value in row.items():
            if not self.stands(value):
                found[name] = value
            elif before is not None and name in before and not self.stands(before[name]):
                found[name] = before[name]
            else:
                missing.append(name)
        return found, missing
