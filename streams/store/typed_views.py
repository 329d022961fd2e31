"""Keeps the views of typed event names up to date, as the writer."""

from collections.abc import Mapping

from schemas.event_type import EventType
from streams.errors import BadInput, Poison, Transport
from streams.settings import ClickHouseSettings
from streams.store.connect import connect, translated
from streams.store.typed_view import view_text


class TypedViews:
    """Makes a view for each typed name. What was made stays when a schema is taken back: data is still there.

    Args:
        settings: Where the store is; `writer_user` and `writer_password` are used.

    """

    def __init__(self, settings: ClickHouseSettings) -> None:
        self._settings = settings
        self._made: dict[str, str] = {}  # event name → statement

    def take(self, types: Mapping[str, EventType]) -> None:
        """Make what is new or has changed.

        Raises Transport when the store is away or, once the others are made, when it refuses a view (its
        tables are not there yet, say): then take the same again.
        """
        wanted = {name: view_text(kind) for name, kind in sorted(types.items())}
        missing = {name: text for name, text in wanted.items() if self._made.get(name) != text}
        if not missing:
            return
        refused = []
        client = connect(self._settings, writer=True)
        try:
            for name, text in missing.items():
                try:
                    translated(lambda sql=text: client.raw_query(sql, fmt=None))  # type: ignore[misc]
                except (BadInput, Poison) as error:
                    refused.append(f"{name}: {error}")
                else:
                    self._made[name] = text
        finally:
            client.close()
        if refused:
            raise Transport(f"the store refuses views of typed events: {'; '.join(refused)}")
