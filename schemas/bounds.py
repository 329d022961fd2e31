"""Refuse schemas whose data could cost more than their bytes pay for.

A 5-byte array of `null` becomes 20 million items, a record that holds itself overruns the stack, thirty
records of two fields each unfold into a thousand million. A registry may hold such schemas; we do not read
with them.
"""

from dataclasses import dataclass
from typing import Any

from schemas.compatibility import InvalidSchemaError, Parsed

DEPTH_MAX = 64
VALUES_MAX = 10_000  # values that a datum unfolds into before any array or map repeats
VALUES_PER_BYTE_MAX = 16  # of an array's or map's item

_BYTES_LEAST = {"null": 0, "float": 4, "double": 8}  # every other plain type: 1


@dataclass(frozen=True, slots=True)
class _Cost:
    bytes_least: int
    values: int


def check(parsed: Parsed) -> None:
    """Raise InvalidSchemaError when data of this schema may cost more than its bytes, naming why."""
    try:
        _Walk(parsed).cost(parsed.root, 0)
    except RecursionError as error:
        raise InvalidSchemaError("the schema is nested too deep") from error


class _Walk:
    def __init__(self, parsed: Parsed) -> None:
        self._parsed = parsed
        self._open: set[str] = set()
        self._known: dict[str, _Cost] = {}

    def cost(self, schema: Any, depth: int) -> _Cost:
        schema = self._parsed.definition(schema)
        if depth > DEPTH_MAX:
            raise InvalidSchemaError(f"the schema is nested deeper than {DEPTH_MAX}")
        if isinstance(schema, list):
            branches = [self.cost(branch, depth + 1) for branch in schema]
            return _Cost(1, 1 + max((branch.values for branch in branches), default=0))
        if not isinstance(schema, dict):
            return _Cost(_BYTES_LEAST.get(schema, 1), 1)
        match schema["type"]:
            case "array":
                self._repeated("array", schema["items"], 0, depth)
                return _Cost(1, 1)
            case "map":
                self._repeated("map", schema["values"], 1, depth)
                return _Cost(1, 1)
            case "fixed":
                return _Cost(int(schema["size"]), 1)
            case "record" | "error":
                return self._record(schema, depth)
        return self.cost(schema["type"], depth + 1)

    def _repeated(self, kind: str, item: Any, key_bytes: int, depth: int) -> None:
        cost = self.cost(item, depth + 1)
        paid = (cost.bytes_least + key_bytes) * VALUES_PER_BYTE_MAX
        if cost.values > paid:
            raise InvalidSchemaError(
                f"an item of one {kind} is {cost.bytes_least + key_bytes} bytes or more and becomes "
                f"{cost.values} values: a few bytes could fill the memory"
            )

    def _record(self, schema: Any, depth: int) -> _Cost:
        name = schema["name"]
        if name in self._known:
            return self._known[name]
        if name in self._open:
            raise InvalidSchemaError(f"record {name} holds itself: a few bytes could overrun the stack")
        self._open.add(name)
        fields = [self.cost(field["type"], depth + 1) for field in schema["fields"]]
        self._open.discard(name)
        cost = _Cost(sum(field.bytes_least for field in fields), 1 + sum(field.values for field in fields))
        if cost.values > VALUES_MAX:
            raise InvalidSchemaError(f"record {name} unfolds into more than {VALUES_MAX} values")
        self._known[name] = cost
        return cost
