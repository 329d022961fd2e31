"""The registry port: who knows which schema id means what."""

from typing import Protocol


class Registry(Protocol):
    """Confluent's registry, as far as a codec needs it.

    Calls may block. An unknown id or subject raises `LookupError`, an unreachable registry `OSError`.
    """

    def register(self, subject: str, schema: str) -> int:
        """Return the id of `schema` (JSON text) under `subject`, registering it when new."""
        ...

    def lookup(self, subject: str, schema: str) -> int:
        """Return the id under which `schema` is registered; never registers."""
        ...

    def schema(self, schema_id: int) -> str:
        """Return the JSON text of the schema with this id."""
        ...
