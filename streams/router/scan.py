"""Reading id and name off a batch of events without decoding them: the router's hottest loop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from schemas.codec import ID_AT, MAGIC, UndecodableError, peek
from streams.router.known_ids import KnownIds
from streams.router.ports import Stored

_NAME_LENGTH_AT = ID_AT + 36
_NAME_AT = _NAME_LENGTH_AT + 1
_ID_LENGTH_BYTE = 0x48
_NAMES_MAX = 10_000  # names remembered; names are the senders' choice, so they need a bound


class Hit(NamedTuple):
    """An event whose name interests a trigger. A named tuple, as the record that it holds."""

    record: Stored
    value: bytes
    id: str
    name: str
    duplicate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A record that is no event."""

    record: Stored
    error: UndecodableError


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a batch holds, in log order; events that interest nobody are only remembered."""

    hits: list[Hit]
    unreadable: list[Unreadable]


class Names:
    """Which names interest a trigger, by their bytes: each name is asked for once."""

    def __init__(self, concerns: Callable[[str], bool]) -> None:
        self._concerns = concerns
        self.known: dict[bytes, bool] = {}

    def learn(self, name: bytes) -> bool:
        """Ask for a name that is not `known` yet. Raises UnicodeDecodeError for bytes that are no text."""
        if len(self.known) >= _NAMES_MAX:
            self.known.clear()
        found = self._concerns(name.decode())
        self.known[name] = found
        return found


def scan(batch: Sequence[Stored], ids: KnownIds, names: Names) -> Scan:
    """Remember every id of the batch, return the events that a trigger may care about."""
    hits: list[Hit] = []
    unreadable: list[Unreadable] = []
    known = names.known.get
    young, old = ids.young, ids.old
    remember = young.add
    for record in batch:
        value: Any = record.value  # a record without one fails below, with the TypeError of its first use
        try:
            # The short form of schemas.codec.peek; what it does not cover goes there.
            length = value[_NAME_LENGTH_AT]
            if length & 0x80 or value[ID_AT - 1] != _ID_LENGTH_BYTE or value[0] != MAGIC:
                id_bytes, name = _peek(value)
            else:
                id_bytes = value[ID_AT:_NAME_LENGTH_AT]
                name = value[_NAME_AT : _NAME_AT + (length >> 1)]
            interesting = known(name)
            if interesting is None:
                _peek(value)  # once a name, the careful way: it also refuses a name cut short
                interesting = names.learn(name)
            if interesting:
                duplicate = id_bytes in young or id_bytes in old
                hits.append(Hit(record, value, id_bytes.decode("ascii"), name.decode(), duplicate))
            remember(id_bytes)
        except UndecodableError as error:
            unreadable.append(Unreadable(record=record, error=error))
        except (IndexError, TypeError, UnicodeDecodeError) as error:
            found = UndecodableError(f"id and event name cannot be read: {error}", reason="truncated")
            unreadable.append(Unreadable(record=record, error=found))
    return Scan(hits=hits, unreadable=unreadable)


def _peek(value: bytes | None) -> tuple[bytes, bytes]:
    if value is None:
        raise UndecodableError("an event without a value", reason="truncated")
    id_text, name = peek(value)
    return id_text.encode("ascii"), name.encode()
