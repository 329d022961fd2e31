"""Label and name patterns: case-sensitive globs over the whole value, `!` negates, a list is OR.

A missing label never matches, not even a negation; `{"exists": false}` asks for its absence. The id label
may be written `resource.id` or `prefect.resource.id`, the role `resource.role` or `prefect.resource.role`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache

from schemas.event import ID_LABEL, PREFECT_ID_LABEL, PREFECT_ROLE_LABEL, ROLE_LABEL

Labels = Mapping[str, str]
_OTHER_NAME = {
    ID_LABEL: PREFECT_ID_LABEL,
    PREFECT_ID_LABEL: ID_LABEL,
    ROLE_LABEL: PREFECT_ROLE_LABEL,
    PREFECT_ROLE_LABEL: ROLE_LABEL,
}
_GLOB_SIGNS = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Pattern:
    """One glob; a leading `!` (only one is taken off) turns it around."""

    text: str
    negated: bool = field(init=False)
    literal: str | None = field(init=False)  # the only value it accepts, when it is such a one
    _glob: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Split the sign off."""
        negated = self.text.startswith("!")
        glob = self.text[1:] if negated else self.text
        object.__setattr__(self, "negated", negated)
        object.__setattr__(self, "_glob", glob)
        plain = not negated and not _GLOB_SIGNS.intersection(glob)
        object.__setattr__(self, "literal", glob if plain else None)

    def accepts(self, value: str) -> bool:
        """Return whether the whole `value` matches."""
        if self.literal is not None:
            return value == self.literal
        return (_compiled(self._glob).match(value) is not None) != self.negated


@dataclass(frozen=True, slots=True)
class Exists:
    """Asks only whether the label is there."""

    wanted: bool


Condition = Pattern | Exists


@dataclass(frozen=True, slots=True)
class LabelMatch:
    """One label and the conditions of which one must hold; no condition at all accepts nothing."""

    label: str
    any_of: tuple[Condition, ...]

    def accepts(self, labels: Labels) -> bool:
        """Return whether one of the conditions holds for these labels."""
        return self.accepted_by(labels) is not None

    def accepted_by(self, labels: Labels) -> Condition | None:
        """Return the first condition that holds, or None."""
        value = lookup(labels, self.label)
        for condition in self.any_of:
            if isinstance(condition, Exists):
                if condition.wanted == (value is not None):
                    return condition
            elif value is not None and condition.accepts(value):
                return condition
        return None

    @property
    def literals(self) -> tuple[str, ...] | None:
        """The only values it accepts, or None when there may be others."""
        found = [c.literal if isinstance(c, Pattern) else None for c in self.any_of]
        return tuple(v for v in found if v is not None) if found and None not in found else None


LabelMap = tuple[LabelMatch, ...]  # all of them must hold; the empty one accepts everything


def lookup(labels: Labels, label: str) -> str | None:
    """Return a label's value under either of its names, or None."""
    value = labels.get(label)
    if value is None and label in _OTHER_NAME:
        value = labels.get(_OTHER_NAME[label])
    return value


def accepts(wanted: LabelMap, labels: Labels) -> bool:
    """Return whether one resource satisfies a whole map."""
    return all(match.accepts(labels) for match in wanted)


def accepts_related(wanted: Sequence[LabelMap], related: Sequence[Labels]) -> bool:
    """Return whether every map is satisfied, each by any single related resource; an empty map needs none."""
    return all(not one or any(accepts(one, labels) for labels in related) for one in wanted)


def first_accepting(patterns: Sequence[Pattern], name: str) -> Pattern | None:
    """Return the first pattern that accepts the event name, or None."""
    return next((pattern for pattern in patterns if pattern.accepts(name)), None)


@lru_cache(maxsize=65_536)
def _compiled(glob: str) -> re.Pattern[str]:
    return re.compile(translate(glob))
