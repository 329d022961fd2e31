"""Prefect's search by text: words ORed, `-` or `!` excludes, `+` requires, quotes hold a phrase together."""

import re
from dataclasses import dataclass

QUERY_CHARS_MAX = 200
_TERM = re.compile(r'([-!+]?)(?:"((?:\\.|[^"\\])*)"?|(\S+))')
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextQuery:
    """The words, in lower case; found anywhere in the text of an event."""

    any_of: tuple[str, ...]
    none_of: tuple[str, ...]
    all_of: tuple[str, ...]

    def accepts(self, text: str) -> bool:
        """Tell whether a text in lower case passes."""
        return (
            (not self.any_of or any(word in text for word in self.any_of))
            and not any(word in text for word in self.none_of)
            and all(word in text for word in self.all_of)
        )


def parse(query: str) -> TextQuery:
    """Return what a query asks for; a sign without a word is nothing."""
    found: dict[str, list[str]] = {"": [], "-": [], "+": []}
    for sign, phrase, word in _TERM.findall(query):
        term = _ESCAPED.sub(r"\1", phrase) if phrase else word
        if term and term not in "-!+":
            found["-" if sign == "!" else sign].append(term.lower())
    return TextQuery(any_of=tuple(found[""]), none_of=tuple(found["-"]), all_of=tuple(found["+"]))
