"""Every dead letter says why: held for whatever is made while code runs, not only for what stands in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from schemas.dead_letter import Reason, Stage
from schemas.record import DeadLetter

_MADE = DeadLetter.__init__  # of guards within each other the inner one counts


@contextmanager
def letters_say_why() -> Iterator[None]:
    """Fail when a dead letter was made meanwhile with a reason or stage that nobody listed."""
    strange: list[str] = []

    def noted(self: DeadLetter, *arguments: Any, **fields: Any) -> None:
        _MADE(self, *arguments, **fields)
        if self.reason not in set(Reason) or self.stage not in set(Stage):
            strange.append(f"{self.stage}/{self.reason}: {self.error[:200]}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DeadLetter, "__init__", noted)
        yield
    assert not strange, f"these dead letters do not say why, see schemas/dead_letter.py: {strange}"
